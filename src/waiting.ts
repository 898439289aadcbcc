/** Waiting for a VM: the states to wait for, options and results. */
import { kindOf } from './printable.ts';
import type { ShutdownReason } from './domain.ts';
import type {
  Ambiguous,
  CallOptions,
  Found,
  LookupResult,
  NotFound,
  Unavailable,
} from './results.ts';
import { ErrorCode, XenError } from './xen-error.ts';

/** The states that `waitFor` waits for. */
export const WAIT_STATES = ['present', 'running', 'shutdown', 'gone'] as const;

/**
 * A state to wait for.
 * - `present`: a domain has the UUID and is not dying.
 * - `running`: such a domain has been unpaused at least once.
 * - `shutdown`: no domain with the UUID is left that has not shut down.
 * - `gone`: no domain has the UUID.
 */
export type WaitState = (typeof WAIT_STATES)[number];

/** Options of `waitFor`. */
export interface WaitOptions extends Pick<CallOptions, 'signal'> {
  /** Default `present`. */
  readonly state?: WaitState;
  /** How long to wait, ms: more than 0; `Infinity` for no limit. Default 30,000. */
  readonly timeoutMs?: number;
}

/** The time for which a wait without `timeoutMs` waits. */
export const DEFAULT_WAIT_MS = 30_000;

/** No domain has the UUID. */
export interface Gone extends NotFound {
  /** Why the VM's last domain had shut down, if a look during the wait showed it. */
  readonly shutdownReason?: ShutdownReason;
}

/**
 * The result of a wait: the result of a look-up at its end, with the promises of a look-up's result. `reached` is false
 * if the time was up before the VM was in the state, and with `unavailable`.
 */
export type WaitResult = (Found | Gone | Ambiguous | Unavailable) & { readonly reached: boolean };

/** @throws XenError `ERR_INVALID_OPTION` for anything but a state to wait for. */
export function checkWaitState(state: unknown): WaitState {
  if (WAIT_STATES.includes(state as WaitState)) return state as WaitState;
  const given = typeof state === 'string' ? JSON.stringify(state.slice(0, 80)) : kindOf(state);
  throw new XenError(
    ErrorCode.INVALID_OPTION,
    `state is ${given}: expected ${WAIT_STATES.slice(0, -1).join(', ')} or ${WAIT_STATES.at(-1)}, for example "running"`,
  );
}

/** Whether a result of a look-up shows that the VM is in the state. `unavailable` shows nothing. */
export function isInState(state: WaitState, result: LookupResult): boolean {
  if (result.status === 'unavailable') return false;
  if (result.status === 'notFound') return state === 'gone' || state === 'shutdown';
  const domains = result.status === 'found' ? [result.domain] : result.domains;
  switch (state) {
    case 'present':
      return true;
    case 'running':
      // A domain uses no CPU time, and cannot shut down, before it is unpaused for the first time.
      return domains.some(
        (domain) => !domain.paused || domain.shutdown || domain.cpuTimeSeconds > 0,
      );
    case 'shutdown':
      return domains.every((domain) => domain.shutdown);
    default:
      return false;
  }
}
