/** Domains that looks found before the toolstack introduced them: the next introduction may be theirs. */
import { DOMID_FIRST_RESERVED, DominfFlag } from '../domain.ts';
import type { Dominfo } from '../hypervisor/dominfo.ts';

/** A domain that was built for so long without running is not about to be introduced. */
const LONGEST_MS = 10 * 60_000;

export class Awaiting {
  /** When each was found, ms on the monotonic clock, by domid; 0 for those that do not await. */
  readonly #since = new Float64Array(DOMID_FIRST_RESERVED);
  readonly #domids = new Set<number>();

  add(info: Dominfo): void {
    if (isStarted(info)) return;
    this.#domids.add(info.domid);
    this.#since[info.domid] = performance.now();
  }

  /** A look showed the domain: once it runs it has been introduced. */
  note(info: Dominfo): void {
    if (this.#domids.size === 0 || this.#since[info.domid] === 0) return;
    if (info.dying || isStarted(info)) this.delete(info.domid);
  }

  delete(domid: number): void {
    if (this.#domids.delete(domid)) this.#since[domid] = 0;
  }

  /** Whether any domain awaits its introduction. */
  any(): boolean {
    const oldest = performance.now() - LONGEST_MS;
    for (const domid of this.#domids) {
      if ((this.#since[domid] ?? 0) >= oldest) return true;
      this.delete(domid);
    }
    return false;
  }
}

function isStarted(info: Dominfo): boolean {
  return (info.flags & DominfFlag.PAUSED) === 0 || info.cpuTimeNs > 0;
}
