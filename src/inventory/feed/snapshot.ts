/** All domains at one token, built from a list and from the domains that the feed has published. */
import type { Token } from '../../change.ts';
import type { Domain, Domid } from '../../domain.ts';
import type { Dominfo, DominfoList } from '../../hypervisor/dominfo.ts';
import { namesNoVm } from '../../vm-uuid.ts';

/** The domains of a list, decoded only as far as they are needed. */
export interface ListSource {
  readonly list: DominfoList;
  /** Domains that differed from the mirror, in the state that the last look showed; undefined if it showed no domain. */
  readonly looked: ReadonlyMap<Domid, Domain | undefined>;
  /** Exclusive upper bound of the domids. */
  readonly end: number;
  /** Called when the list is not needed any more. */
  readonly onDecoded: () => void;
}

/** How long decoding may block the event loop, ms, and after how many domains the clock is read. */
const SLICE_MS = 4;
const CLOCK_EVERY = 256;

export class Snapshot {
  /** The snapshot includes exactly the changes up to this token. */
  readonly token: Token;
  readonly #told: readonly (Domain | undefined)[];
  readonly #source: ListSource;
  #domains: Promise<readonly Domain[]> | undefined;

  /** @param told by domid, as of `token`. Not changed afterwards. */
  constructor(token: Token, told: readonly (Domain | undefined)[], source: ListSource) {
    this.token = token;
    this.#told = told;
    this.#source = source;
  }

  /** Returns all domains, in ascending domid. Decodes them in slices, once for all callers. */
  domains(): Promise<readonly Domain[]> {
    this.#domains ??= this.#decode();
    return this.#domains;
  }

  /** Returns the domains that the feed has published as created and not as destroyed, in ascending domid. */
  async told(): Promise<readonly Domain[]> {
    const domains = await this.domains();
    return domains.filter(({ domid }) => this.#told[domid] !== undefined);
  }

  async #decode(): Promise<readonly Domain[]> {
    const { list, looked, end } = this.#source;
    const domains: Domain[] = [];
    let sliceEnds = performance.now() + SLICE_MS;
    const places = placesByDomid(this.#source);
    for (let domid = 0 as Domid; domid < end; domid++) {
      const place = places[domid] ?? NOWHERE;
      if (place === NOWHERE) continue;
      const known = this.#told[domid];
      const seen = looked.has(domid) ? looked.get(domid) : decode(list.at(place - 1), known);
      const domain = known === undefined ? seen : asTold(known, seen);
      if (domain === undefined) continue;
      domains.push(domain);
      if (domains.length % CLOCK_EVERY === 0 && performance.now() > sliceEnds) {
        // oxlint-disable-next-line no-await-in-loop -- other work takes its turn between two slices
        await new Promise((resolve) => setImmediate(resolve));
        sliceEnds = performance.now() + SLICE_MS;
      }
    }
    this.#source.onDecoded();
    return domains;
  }
}

const NOWHERE = 0;

/**
 * Returns the index of each domid in the list plus one; {@link NOWHERE} for a domid that is neither in the list nor in `looked`.
 * A domid that is only in `looked` has 1, which is not read. A published domain is always in one of the two.
 */
function placesByDomid({ list, looked, end }: ListSource): Int32Array {
  const places = new Int32Array(end);
  for (const domid of looked.keys()) places[domid] = 1;
  for (let index = 0; index < list.length; index++) places[list.at(index).domid] = index + 1;
  return places;
}

/** Decodes a listed domain that did not differ from the mirror. Its UUID is then the one that the feed has, and is not decoded again. */
function decode(info: Dominfo, told: Domain | undefined): Domain {
  return told === undefined || told.dying
    ? info.toDomain()
    : info.toDomain(told.uuid, told.uniqueId);
}

/** Returns the domain in the state that the feed has published. Memory, CPU time and other unpublished fields are from the look if both show the same state. */
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
