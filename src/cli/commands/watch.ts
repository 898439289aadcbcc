/** `xen-domid watch`: prints a line for each change, until interrupted. */
import type { Domain } from '../../domain.ts';
import type { Change } from '../../change.ts';
import { connect, type ConnectOptions } from '../connect.ts';
import { withCode } from '../terminal/error-text.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { printable } from '../terminal/printable.ts';
import { changesSince } from './resync.ts';

export interface WatchCommand extends ConnectOptions {
  readonly json: boolean;
}

/** Survives a restart of the service: prints the differences of the new snapshot afterwards. */
export async function watch(io: Io, options: WatchCommand): Promise<ExitStatus> {
  const client = await connect(io, options);
  const known = new Map<number, Domain>();
  const batches = client.subscribe({
    signal: io.interrupted(),
    onDisconnected: (error) =>
      io.err(`xen-domid: ${withCode(`${printable(error.message)}. Reconnecting...`, error)}\n`),
    onConnected: () => io.err('xen-domid: reconnected\n'),
  });
  try {
    for await (const batch of batches) {
      const first = batch.kind === 'snapshot';
      const changes = batch.kind === 'changes' ? batch.changes : changesSince(known, batch.domains);
      for (const change of changes) note(known, change);
      if (first) io.err(`xen-domid: watching ${known.size} domains\n`);
      else io.out(changes.map((change) => lineOf(change, options.json)).join(''));
    }
    return ExitStatus.done;
  } finally {
    await client.close();
  }
}

/** Takes a change into the domains that are known. */
export function note(known: Map<number, Domain>, { domid, domain }: Change): void {
  if (domain === undefined) known.delete(domid);
  else known.set(domid, domain);
}

/** @param host that the change is of, where there are several. */
export function lineOf(change: Change, json: boolean, host?: string): string {
  const time = new Date();
  if (json) {
    const of = host !== undefined && { host };
    return `${JSON.stringify({ time: time.toISOString(), ...of, ...change })}\n`;
  }
  const { kind, domid, uuid } = change;
  const where = host === undefined ? '' : `${host} `;
  const head = `${clockOf(time)} ${where}${kind.padEnd(9)} ${String(domid).padStart(5)} ${uuid}`;
  return `${head}${detailOf(change)}\n`;
}

function detailOf({ kind, domain, previous }: Change): string {
  if (kind === 'renamed' && previous !== undefined) return ` was ${previous.uuid}`;
  return kind === 'shutdown' ? ` ${domain?.shutdownReason ?? ''}` : '';
}

/** Local time with milliseconds. */
function clockOf(time: Date): string {
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(':');
  const date = [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join('-');
  return `${date} ${clock}.${String(time.getMilliseconds()).padStart(3, '0')}`;
}

function two(number: number): string {
  return String(number).padStart(2, '0');
}
