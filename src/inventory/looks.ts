/** Single looks: counted, and some of them timed. */
import type { Domid } from '../domain.ts';
import type { Dominfo } from '../hypervisor/dominfo.ts';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import { Durations } from './durations.ts';

/** Reading the clock twice takes a tenth of a look, so only one look in eight is timed, and counts as eight. */
const TIMED_EVERY = 8;

export class Looks {
  readonly #hypervisor: Hypervisor;
  /** Single looks made. */
  count = 0;
  readonly durations: Durations = new Durations();

  constructor(hypervisor: Hypervisor) {
    this.#hypervisor = hypervisor;
  }

  /** Looks at one domid. The next look overwrites the result. */
  look(domid: Domid): Dominfo | undefined {
    if (++this.count % TIMED_EVERY !== 0) return this.#look(domid);
    const began = performance.now();
    try {
      return this.#look(domid);
    } finally {
      this.durations.record(performance.now() - began, TIMED_EVERY);
    }
  }

  /** Treats a domain that XSM hides as absent, because lists leave it out as well. */
  #look(domid: Domid): Dominfo | undefined {
    try {
      return this.#hypervisor.getDomainInfo(domid);
    } catch (error) {
      if (error instanceof XenError && error.code === ErrorCode.XSM_DENIED) return undefined;
      throw error;
    }
  }
}
