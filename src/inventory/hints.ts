/** xenstore's word on where a VM is, on hosts whose toolstack keeps it: `/vm/<uuid>/domains/<domid>` (xapi). */
import { DOMID_FIRST_RESERVED, type Domain, type Domid } from '../domain.ts';
import type { Uuid } from '../uuid.ts';
import type { XenstoreReader } from '../xenstore/reader.ts';
import type { Census } from './census.ts';
import type { Looks, LookSteps } from './looks.ts';

/** A xenstore that leaves a request unanswered for so long is not asked for hints. */
const SLOW_MS = 100;
/** Hints in a row that knew nothing of a VM that a list found: then the toolstack keeps no such node. */
const USELESS = 8;

export class Hints {
  /** Requests made. */
  asked = 0;
  readonly #census: Census;
  readonly #looks: Looks;
  #xenstore: XenstoreReader | undefined;
  #useless = 0;

  constructor(census: Census, looks: Looks) {
    this.#census = census;
    this.#looks = looks;
  }

  get xenstore(): XenstoreReader | undefined {
    return this.#xenstore;
  }

  /** The connection of the moment; undefined while there is none. */
  set xenstore(xenstore: XenstoreReader | undefined) {
    this.#xenstore = xenstore;
    this.#useless = 0;
  }

  /**
   * Asks xenstore, and the hypervisor about what xenstore says.
   * @param answer is called where that confirms it.
   * @returns what to call where a list had to find the VM.
   */
  follow(uuid: Uuid, answer: (domain: Domain, source: 'xenstore') => void): () => void {
    const xenstore = this.#xenstore;
    if (xenstore === undefined || this.#useless >= USELESS || xenstore.oldestPendingMs > SLOW_MS) {
      return () => undefined;
    }
    let knewNothing = false;
    this.asked++;
    xenstore
      .directory(`/vm/${uuid}/domains`)
      .then((names = []) => {
        knewNothing = names.length === 0;
        return this.#looks.run(this.#confirm(uuid, names));
      })
      .then((domain) => domain !== undefined && answer(domain, 'xenstore'))
      // A hint that cannot be had is none: the list answers.
      .catch(() => undefined);
    return () => {
      if (knewNothing) this.#useless++;
    };
  }

  *#confirm(uuid: Uuid, names: readonly string[]): LookSteps<Domain | undefined> {
    for (const name of names) {
      const domid = Number(name);
      if (!/^\d{1,5}$/.test(name) || domid >= DOMID_FIRST_RESERVED) continue;
      const domain = yield* this.#census.look(domid as Domid, 'xenstore');
      if (domain === undefined || domain.uuid !== uuid || domain.dying) continue;
      this.#useless = 0;
      return domain;
    }
    return undefined;
  }
}
