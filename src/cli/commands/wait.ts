/** `xen-domid wait`: waits until a VM is in a state, and prints its domid. */
import type { Domain } from '../../domain.ts';
import {
  DEFAULT_WAIT_MS,
  WAIT_STATES,
  type WaitOptions,
  type WaitResult,
  type WaitState,
} from '../../waiting.ts';
import { UsageError } from '../arguments.ts';
import { connect, type ConnectOptions } from '../connect.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { errorText } from '../terminal/error-text.ts';
import { printableJson } from '../../printable.ts';
import { resolveUuids } from './operands.ts';

export interface WaitCommand extends ConnectOptions {
  readonly json: boolean;
  readonly for?: string;
  readonly timeout?: string;
}

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** @throws UsageError for an invalid state or time. */
export async function wait(io: Io, text: string, options: WaitCommand): Promise<ExitStatus> {
  const state = stateOf(options.for);
  const timeoutMs = options.timeout === undefined ? DEFAULT_WAIT_MS : durationMs(options.timeout);
  const uuids = await resolveUuids(io, [text], { ...options, direct: false });
  if (typeof uuids === 'number') return uuids;
  const [uuid = ''] = uuids;
  const result = await waitOver(io, uuid, { state, timeoutMs }, options);
  if (options.json) io.out(`${jsonOf(uuid, state, result)}\n`);
  else if (result.reached) io.out(`${reachedText(state, result)}\n`);
  if (!options.json && (!result.reached || result.status === 'ambiguous'))
    io.err(`xen-domid: ${stateText(uuid, state, result)}\n`);
  if (!result.reached) return ExitStatus.unavailable;
  return result.status === 'ambiguous' ? ExitStatus.ambiguous : ExitStatus.done;
}

/** Without a service, fails at once; afterwards survives a restart of the service. */
async function waitOver(
  io: Io,
  uuid: string,
  waitOptions: WaitOptions,
  options: ConnectOptions,
): Promise<WaitResult> {
  const first = await connect(io, options);
  try {
    await first.version();
  } finally {
    await first.close();
  }
  const client = await connect(io, options, true);
  try {
    return await client.waitFor(uuid, waitOptions);
  } finally {
    await client.close();
  }
}

function stateOf(text: string = 'present'): WaitState {
  const state = WAIT_STATES.find((one) => one === text);
  if (state !== undefined) return state;
  throw new UsageError(
    `${printableJson(text)} is not a state to wait for: expected ${WAIT_STATES.join(', ')}, for example --for running`,
  );
}

function durationMs(text: string): number {
  const [, count = '', unit = ''] = /^(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h|d)$/.exec(text) ?? [];
  const ms = Number(count) * (UNIT_MS[unit] ?? NaN);
  if (count !== '' && ms > 0) return ms;
  throw new UsageError(
    `--timeout needs a number above 0 and a unit (ms, s, m, h, d), for example 30s or 5m, not ${printableJson(text)}`,
  );
}

function reachedText(state: WaitState, result: WaitResult): string {
  switch (result.status) {
    case 'found': {
      const { domid, shutdownReason } = result.domain;
      return state === 'shutdown' ? `${domid} ${shutdownReason}` : `${domid}`;
    }
    case 'notFound':
      return ['gone', result.shutdownReason].filter((word) => word !== undefined).join(' ');
    case 'ambiguous':
      return result.domains.map(({ domid }) => domid).join(' ');
    default:
      return '';
  }
}

/** Describes the state of a VM that is not one domain in the state that was waited for. */
function stateText(uuid: string, state: WaitState, result: WaitResult): string {
  const late = result.reached ? '' : `the time is up, and ${uuid} is not ${state}: `;
  switch (result.status) {
    case 'found':
      return `${late}domain ${result.domain.domid} has it, ${conditionOf(result.domain)}`;
    case 'notFound':
      return `${late}no domain has it`;
    case 'ambiguous': {
      const domids = result.domains.map(({ domid }) => domid).join(', ');
      return `${late}more than one domain has the UUID ${uuid}: domids ${domids}`;
    }
    default: {
      const { cause, error } = result;
      return `${uuid}: ${error === undefined ? `no answer (${cause})` : errorText(error)}`;
    }
  }
}

function conditionOf({ paused, shutdown, shutdownReason }: Domain): string {
  if (shutdown) return `shut down (${shutdownReason})`;
  return paused ? 'paused' : 'running';
}

function jsonOf(uuid: string, state: WaitState, result: WaitResult): string {
  const { error: _, ...plain } = { error: undefined, ...result };
  return JSON.stringify({ uuid, state, ...plain });
}
