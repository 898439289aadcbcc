/** xenstore's word on where a VM is, on hosts whose toolstack keeps it: `/vm/<uuid>/domains/<domid>` (xapi). */
import { DOMID_FIRST_RESERVED, type Domid } from '../domain.ts';
import type { Uuid } from '../uuid.ts';
import type { XenstoreReader } from '../xenstore/reader.ts';
import type { Census } from './census.ts';
import type { Looks, LookSteps } from './looks.ts';
import type { Found } from './results.ts';

/** A xenstore that leaves a request unanswered for so long is not asked for hints. */
const SLOW_MS = 100;
/** Hints in a row that knew nothing of a VM that a list found: then the toolstack keeps no such node. */
const USELESS = 8;

export class Hints {
  /** The connection of the moment. */
  xenstore: XenstoreReader | undefined;
  /** Requests made. */
  asked = 0;
  readonly #census: Census;
  readonly #looks: Looks;
  #useless = 0;

  constructor(census: Census, looks: Looks) {
    this.#census = census;
    this.#looks = looks;
  }

  /** Asks xenstore, and the hypervisor about what xenstore says. @param answer is called where that confirms it. */
  follow(uuid: Uuid, answer: (found: Found) => void): void {
    const { xenstore } = this;
    if (xenstore === undefined || this.#useless >= USELESS) return;
    if (xenstore.oldestPendingMs > SLOW_MS) return;
    this.asked++;
    xenstore
      .directory(`/vm/${uuid}/domains`)
      .then((names) => this.#looks.run(this.#confirm(uuid, names ?? [])))
      .then((found) => found !== undefined && answer(found))
      // A hint that cannot be had is none: the list answers.
      .catch(() => undefined);
  }

  *#confirm(uuid: Uuid, names: readonly string[]): LookSteps<Found | undefined> {
    this.#useless = names.length > 0 ? 0 : this.#useless + 1;
    for (const name of names) {
      const domid = Number(name);
      if (!/^\d{1,5}$/.test(name) || domid >= DOMID_FIRST_RESERVED) continue;
      const domain = yield* this.#census.look(domid as Domid, 'xenstore');
      if (domain !== undefined && domain.uuid === uuid && !domain.dying) {
        return { status: 'found', domain, source: 'xenstore' };
      }
    }
    return undefined;
  }
}
