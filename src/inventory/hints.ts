/** Hints from xenstore: the domids of a VM, if the toolstack writes `/vm/<uuid>/domains/<domid>` (xapi does). */
import { DOMID_FIRST_RESERVED, type Domid } from '../domain.ts';
import type { Uuid } from '../uuid.ts';
import type { XenstoreReader } from '../xenstore/reader.ts';
import type { Census } from './census.ts';
import type { Lists } from './lists.ts';

/** While a xenstore request has been pending for longer than this, no hints are requested, ms. */
const SLOW_MS = 100;
/** After this many VMs in a row that a list found and xenstore did not know, no more hints are requested: the toolstack does not write these nodes. */
const USELESS = 8;
/** Domids to look at in one answer. A VM has one domain, or two while it is migrated on its host. */
const DOMIDS_MAX = 16;

export interface HintsOptions {
  readonly census: Census;
  readonly lists: Lists;
}

export class Hints {
  /** Requests made. */
  asked = 0;
  readonly #census: Census;
  #xenstore: XenstoreReader | undefined;
  /** UUIDs requested since the last list. The value is `true` once xenstore has answered that it has no domid. */
  readonly #requested = new Map<Uuid, boolean>();
  #useless = 0;

  constructor({ census, lists }: HintsOptions) {
    this.#census = census;
    lists.observe(({ shown }) => this.#listEnded(shown));
  }

  get xenstore(): XenstoreReader | undefined {
    return this.#xenstore;
  }

  /** The current connection; undefined while there is none. */
  set xenstore(xenstore: XenstoreReader | undefined) {
    this.#xenstore = xenstore;
    this.#useless = 0;
  }

  /** Requests the domids of a VM, at most once between two lists, and looks at each. A look that shows the UUID answers the pending look-ups. */
  ask(uuid: Uuid): void {
    const xenstore = this.#xenstore;
    if (xenstore === undefined || this.#useless >= USELESS || xenstore.oldestPendingMs > SLOW_MS)
      return;
    if (this.#requested.has(uuid)) return;
    this.#requested.set(uuid, false);
    this.asked++;
    xenstore
      .directory(`/vm/${uuid}/domains`)
      .then((names = []) => {
        if (names.length > 0) this.#lookAt(uuid, names);
        else if (this.#requested.has(uuid)) this.#requested.set(uuid, true);
      })
      // Ignored: without a hint, the list answers.
      .catch(() => undefined);
  }

  #lookAt(uuid: Uuid, names: readonly string[]): void {
    for (const name of names.slice(0, DOMIDS_MAX)) {
      const domid = Number(name);
      if (!/^\d{1,5}$/.test(name) || domid >= DOMID_FIRST_RESERVED) continue;
      const domain = this.#census.look(domid as Domid, 'xenstore');
      if (domain?.uuid !== uuid || domain.dying) continue;
      this.#useless = 0;
      return;
    }
  }

  #listEnded(shown: ReadonlySet<Uuid>): void {
    for (const [uuid, knewNothing] of this.#requested)
      if (knewNothing && shown.has(uuid)) this.#useless++;
    this.#requested.clear();
  }
}
