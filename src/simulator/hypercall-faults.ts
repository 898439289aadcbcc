/** Failures that tests order for the next hypercalls. */
import { constants } from 'node:os';

/** Hypercalls of the port: a single look, a list, a single look by the list operation, and a read of a domain's state. */
export type HypercallKind = 'domctl' | 'sysctl' | 'one' | 'state';

/** Error numbers that the hypercalls of the port can end with. */
export type HypercallErrno =
  'EPERM' | 'ESRCH' | 'EACCES' | 'EFAULT' | 'EINVAL' | 'ENOSYS' | 'EAGAIN' | 'ENOMEM' | 'EIO';

/** Returns the result of a hypercall that fails with this error number. */
export function failure(errno: HypercallErrno): number {
  return -constants.errno[errno];
}

export class HypercallFaults {
  readonly #queued: Record<HypercallKind, HypercallErrno[]> = {
    domctl: [],
    sysctl: [],
    one: [],
    state: [],
  };

  add(kind: HypercallKind, errno: HypercallErrno, times: number): void {
    for (let count = 0; count < times; count++) this.#queued[kind].push(errno);
  }

  /** Removes and returns the error with which the next hypercall of this kind must fail; undefined if it must not fail. */
  take(kind: HypercallKind): HypercallErrno | undefined {
    const queued = this.#queued[kind];
    return queued.length === 0 ? undefined : queued.shift();
  }

  clear(): void {
    for (const queued of Object.values(this.#queued)) queued.length = 0;
  }
}
