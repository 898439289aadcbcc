/** All domains at one token, made of a list and of the feed's own record. */
import type { Token } from '../../change.ts';
import type { Domain, Domid } from '../../domain.ts';
import type { Dominfo, DominfoList } from '../../hypervisor/dominfo.ts';
import { namesNoVm } from '../../vm-uuid.ts';

/** The domains of a list, decoded only as far as they are needed. */
export interface ListSource {
  readonly list: DominfoList;
  /** Domains that differed from the mirror, in the state that the last look showed; undefined if there was none. */
  readonly looked: ReadonlyMap<Domid, Domain | undefined>;
  /** Above every domid of a domain. */
  readonly end: number;
}

/** The result of {@link Snapshot.domains}. */
export interface SnapshotDomains {
  /** In ascending domid. */
  readonly domains: readonly Domain[];
  /** The part of `domains` that the feed has created and not destroyed. */
  readonly told: readonly Domain[];
}

/** How long decoding may hold the event loop, ms, and after how many domains the clock is read. */
const SLICE_MS = 4;
const CLOCK_EVERY = 256;

export class Snapshot {
  /** The changes after this token lead on from the snapshot. */
  readonly token: Token;
  readonly #told: readonly (Domain | undefined)[];
  readonly #source: ListSource;
  #domains: Promise<SnapshotDomains> | undefined;

  /** @param told by domid, as of `token`. Not changed afterwards. */
  constructor(token: Token, told: readonly (Domain | undefined)[], source: ListSource) {
    this.token = token;
    this.#told = told;
    this.#source = source;
  }

  /** Decodes the domains in slices, once for all callers. */
  domains(): Promise<SnapshotDomains> {
    this.#domains ??= this.#decode();
    return this.#domains;
  }

  async #decode(): Promise<SnapshotDomains> {
    const { list, looked, end } = this.#source;
    const told: Domain[] = [];
    const domains: Domain[] = [];
    let sliceEnds = performance.now() + SLICE_MS;
    const places = placesByDomid(list, end);
    for (let domid = 0 as Domid; domid < end; domid++) {
      const place = places[domid] ?? NOWHERE;
      const known = this.#told[domid];
      if (place === NOWHERE && known === undefined && !looked.has(domid)) continue;
      const listed = place === NOWHERE ? undefined : decode(list.at(place), known);
      const seen = looked.has(domid) ? looked.get(domid) : listed;
      const domain = known === undefined ? seen : asTold(known, seen);
      if (domain === undefined) continue;
      domains.push(domain);
      if (known !== undefined) told.push(domain);
      if (domains.length % CLOCK_EVERY === 0 && performance.now() > sliceEnds) {
        // oxlint-disable-next-line no-await-in-loop -- other work takes its turn between two slices
        await new Promise((resolve) => setImmediate(resolve));
        sliceEnds = performance.now() + SLICE_MS;
      }
    }
    return { domains, told };
  }
}

const NOWHERE = -1;

/** Xen promises no order of its lists. */
function placesByDomid(list: DominfoList, end: number): Int32Array {
  const places = new Int32Array(end).fill(NOWHERE);
  for (let place = 0; place < list.length; place++) places[list.at(place).domid] = place;
  return places;
}

/** A row of the list. Where it does not differ from the mirror, it has the UUID that the feed has. */
function decode(info: Dominfo, told: Domain | undefined): Domain {
  return told === undefined || told.dying
    ? info.toDomain()
    : info.toDomain(told.uuid, told.uniqueId);
}

/** The domain as the feed has it, with the figures of the look where both agree. */
function asTold(told: Domain, seen: Domain | undefined): Domain {
  if (
    seen === undefined ||
    seen.shutdown !== told.shutdown ||
    seen.shutdownReason !== told.shutdownReason ||
    (seen.uuid !== told.uuid && !namesNoVm(seen.uuid))
  ) {
    return told;
  }
  const { uuid, dying, uniqueId } = told;
  if (seen.uuid === uuid && seen.dying === dying && seen.uniqueId === uniqueId) return seen;
  return { ...seen, uuid, dying, ...(uniqueId !== undefined && { uniqueId }) };
}
