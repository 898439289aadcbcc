/** What all looks together have shown: each one is compared with what is known, and what differs is told. */
import { DOMID_FIRST_RESERVED, type Domain, type Domid } from '../domain.ts';
import type { Dominfo, DominfoList } from '../hypervisor/dominfo.ts';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';
import type { Uuid } from '../uuid.ts';
import { Awaiting } from './awaiting.ts';
import { changesBetween, type Sight } from './difference.ts';
import { type Change } from '../change.ts';
import type { Feed } from './feed.ts';
import { hasZeroHalf, isNil, isTombstone } from './handle.ts';
import { namesNoVm } from '../vm-uuid.ts';
import { Holders } from './holders.ts';
import type { LookSteps } from './looks.ts';
import { Mirror } from './mirror.ts';
import { NextDomid } from './next-domid.ts';
import type { Moments } from './moments.ts';
import type { Source } from '../results.ts';

/** What one list showed, for those who waited for it. */
export interface ListSight {
  /** Domids that have to be looked at singly before anything is made of them. */
  readonly doubtful: Domid[];
  /** Holders that the list was the first to show, by UUID. */
  readonly holders: ReadonlyMap<Uuid, readonly Domain[]>;
  /** UUIDs of undying domains that are in doubt: whatever is found out about those, the list did show the UUID. */
  readonly doubtfulUuids: ReadonlySet<Uuid>;
}

interface MutableListSight extends ListSight {
  readonly holders: Map<Uuid, readonly Domain[]>;
  readonly doubtfulUuids: Set<Uuid>;
}

export interface CensusOptions {
  readonly hypervisor: Hypervisor;
  readonly feed: Feed;
  readonly moments: Moments;
  readonly maxUuids: number;
  /** A single look, begun at that moment, showed a domain that no look had shown with this UUID. */
  readonly onHolder: (domain: Domain, source: Source, began: number) => void;
  /** A domain that was told of is dying: nothing will announce its end. */
  readonly onDying: (domid: Domid) => void;
}

export class Census {
  readonly holders: Holders;
  /** Looks at a domain's unique id. */
  uniqueIdLooks = 0;
  readonly next: NextDomid = new NextDomid();
  readonly awaiting: Awaiting = new Awaiting();
  readonly #mirror = new Mirror();
  /** Domains that the feed has told of, and not of their end: as of the last change. */
  readonly #known = new Map<Domid, Domain>();
  /** What the last list left in doubt. */
  #listedInDoubt: ReadonlySet<Domid> = new Set();
  /** The list during which each domid was last looked at singly. */
  readonly #lookedAtDuring = new Uint32Array(DOMID_FIRST_RESERVED);
  /** Domids that a look showed in doubt, and the one that decides is still to come, or has failed. */
  readonly #inDoubt = new Set<Domid>();
  /** The moments at which a single look at each domid, and a list, were last taken in. */
  readonly #notedAt = new Float64Array(DOMID_FIRST_RESERVED);
  #listNotedAt = 0;
  readonly #moments: Moments;
  readonly #hypervisor: Hypervisor;
  readonly #feed: Feed;
  readonly #onHolder: CensusOptions['onHolder'];
  readonly #onDying: CensusOptions['onDying'];
  #lists = 0;
  #listRuns = false;
  /** Before the first list there is nothing to tell a difference from. */
  #begun = false;

  constructor({ hypervisor, feed, moments, maxUuids, onHolder, onDying }: CensusOptions) {
    this.#moments = moments;
    this.holders = new Holders(maxUuids);
    this.#hypervisor = hypervisor;
    this.#feed = feed;
    this.#onHolder = onHolder;
    this.#onDying = onDying;
  }

  /** Domains that the last looks showed. */
  get count(): number {
    return this.#mirror.count;
  }

  /** A list has been made. */
  get begun(): boolean {
    return this.#begun;
  }

  isPresent(domid: number): boolean {
    return this.#mirror.has(domid);
  }

  /** The domain as the feed last told of it. */
  known(domid: Domid): Domain | undefined {
    return this.#known.get(domid);
  }

  /** Remembers the holders of a UUID again that had to make room for others. @returns whether there are any. */
  recall(uuid: Uuid): boolean {
    if (!this.holders.hasEvicted(uuid)) return false;
    for (const known of this.#known.values()) {
      if (known.uuid === uuid && !known.dying) this.holders.add(uuid, known.domid);
    }
    return this.holders.of(uuid).length > 0;
  }

  /**
   * All domains, and those of them that the feed has told of: these as of its last change, and under the UUID
   * that it told.
   * @param shown what a list, and looks at what it left in doubt, have just shown.
   */
  snapshot(shown: ReadonlyMap<Domid, Domain>): { domains: Domain[]; told: Domain[] } {
    const domains = new Map(shown);
    for (const [domid, known] of this.#known) {
      const seen = shown.get(domid);
      const { uuid, dying, uniqueId } = known;
      const isCurrent =
        seen !== undefined &&
        (seen.uuid === uuid || namesNoVm(seen.uuid)) &&
        seen.shutdown === known.shutdown &&
        seen.shutdownReason === known.shutdownReason;
      domains.set(
        domid,
        isCurrent ? { ...seen, uuid, dying, ...(uniqueId !== undefined && { uniqueId }) } : known,
      );
    }
    const sorted = [...domains.values()].toSorted((one, other) => one.domid - other.domid);
    return { domains: sorted, told: sorted.filter(({ domid }) => this.#known.has(domid)) };
  }

  /**
   * Whether a second look has to tell what the handle is: one not seen before on its domid, with either half
   * zero or in place of another one, may have been read while Xen was writing it.
   */
  isDoubtful(info: Dominfo): boolean {
    const present = this.#mirror.has(info.domid);
    if (present && this.#mirror.hasSameHandle(info)) return false;
    return present || this.#inDoubt.has(info.domid) || hasZeroHalf(info);
  }

  /** A single look at a domid, and a second one where the first is doubtful. */
  *look(domid: Domid, source: Source): LookSteps<Domain | undefined> {
    let info = yield domid;
    if (info !== undefined && this.isDoubtful(info)) {
      this.#inDoubt.add(domid);
      info = yield domid;
    }
    // Looks off the event loop come back late: what has been taken in meanwhile may be newer.
    while (this.#isOvertaken(domid, info)) info = yield domid;
    // Made before anybody is told: who is told may look as well, in the same memory.
    const domain = info?.toDomain();
    this.noteSingle(domid, info, source, domain);
    return domain;
  }

  #isOvertaken(domid: Domid, info: Dominfo | undefined): boolean {
    const notedAt = Math.max(this.#notedAt[domid] ?? 0, this.#listNotedAt);
    if (this.#moments.lookBegan > notedAt) return false;
    return info === undefined ? this.#mirror.has(domid) : !this.#mirror.matches(info);
  }

  /**
   * What a single look showed, after a second one where that was due.
   * @param domain what is made of the look, where that has been made already.
   */
  noteSingle(domid: Domid, info: Dominfo | undefined, source: Source, domain?: Domain): void {
    const began = this.#moments.lookBegan;
    this.#notedAt[domid] = this.#moments.next();
    if (this.#listRuns) this.#lookedAtDuring[domid] = this.#lists;
    if (info === undefined) {
      this.#inDoubt.delete(domid);
      if (this.#mirror.has(domid)) this.#apply(domid, undefined);
      return;
    }
    this.awaiting.note(info);
    if (this.#mirror.matches(info)) {
      this.#inDoubt.delete(domid);
      return;
    }
    if (!this.#mirror.has(domid)) {
      // What the last list left in doubt it was the first to show.
      if (!this.#listedInDoubt.has(domid)) this.next.sawSingly(domid);
      if (this.#begun) this.awaiting.add(info);
    }
    const holder = this.#apply(domid, info, domain);
    if (holder !== undefined) this.#onHolder(holder, source, began);
  }

  /** A list is about to begin: single looks made from here on stand beside it. */
  beginList(): void {
    this.#lists++;
    this.#listRuns = true;
  }

  /** The list is over, whatever came of it. */
  endList(): void {
    this.#listRuns = false;
  }

  /**
   * What a list showed. Ends are told of first, so that a VM that was rebooted ends before it begins.
   * @param awaits whether domains that it is the first to show are yet to be introduced, as far as it can tell.
   * @throws XenError `ERR_HYPERCALL` for a list that makes no sense; nothing is made of it.
   */
  noteList(list: DominfoList, awaits: boolean): ListSight {
    const sight: MutableListSight = {
      doubtful: [],
      doubtfulUuids: new Set(),
      holders: new Map(),
    };
    const { places, missing } = this.#mirror.compare(list);
    this.#listNotedAt = this.#moments.next();
    for (const domid of missing) {
      if (this.#isBeside(domid)) sight.doubtful.push(domid);
      else this.#apply(domid, undefined);
    }
    if (this.awaiting.any()) for (const info of list) this.awaiting.note(info);
    const newcomers: Domid[] = [];
    for (const index of places) {
      const info = list.at(index);
      if (!this.#mirror.has(info.domid)) newcomers.push(info.domid);
      this.#noteListed(info, awaits && this.#begun, sight);
    }
    if (this.#begun) this.next.sawListed(newcomers);
    else this.next.begin(newcomers.at(-1) ?? 0);
    this.#begun = true;
    this.#listedInDoubt = new Set(sight.doubtful);
    return sight;
  }

  #noteListed(info: Dominfo, awaits: boolean, sight: MutableListSight): void {
    const { domid } = info;
    if (this.#isBeside(domid) || this.isDoubtful(info)) {
      sight.doubtful.push(domid);
      this.#inDoubt.add(domid);
      if (!info.dying) sight.doubtfulUuids.add(info.uuid);
      return;
    }
    if (awaits && !this.#mirror.has(domid)) this.awaiting.add(info);
    const holder = this.#apply(domid, info);
    if (holder === undefined) return;
    const others = sight.holders.get(holder.uuid) ?? [];
    sight.holders.set(holder.uuid, [...others, holder]);
  }

  /** Whether a single look was made while the list ran: where the two disagree, neither is known to be newer. */
  #isBeside(domid: Domid): boolean {
    return this.#lookedAtDuring[domid] === this.#lists;
  }

  /** @returns the domain where the look shows it as a holder of its UUID. */
  #apply(domid: Domid, info: Dominfo | undefined, seen?: Domain): Domain | undefined {
    const known = this.#known.get(domid);
    // Until it has been taken in, which takes a hypercall that can fail.
    this.#inDoubt.add(domid);
    const sight = info === undefined ? undefined : this.#sight(info, known, seen);
    this.#inDoubt.delete(domid);
    const changes = changesBetween(known, sight);

    if (info === undefined) this.#mirror.delete(domid);
    else this.#mirror.set(info);
    if (info === undefined || info.dying) this.awaiting.delete(domid);
    for (const change of changes) this.#remember(change);
    if (this.#begun) this.#feed.publish(changes);
    if (changes.at(-1)?.domain?.dying === true) this.#onDying(domid);

    const { domain } = sight ?? {};
    const told = this.#known.get(domid);
    return told !== undefined && !told.dying && told.uuid === domain?.uuid ? domain : undefined;
  }

  #sight(info: Dominfo, known: Domain | undefined, seen: Domain = info.toDomain()): Sight {
    const mayBeOther =
      known === undefined ||
      known.dying ||
      known.uuid !== seen.uuid ||
      (known.shutdown && !seen.shutdown);
    const uniqueId = mayBeOther ? this.#uniqueIdOf(info.domid) : known.uniqueId;
    const domain = uniqueId === undefined ? seen : { ...seen, uniqueId };
    return {
      domain,
      nil: isNil(info),
      tombstone: isTombstone(info),
      same: !mayBeOther || this.#canBeSame(known, domain),
    };
  }

  #uniqueIdOf(domid: Domid): string | undefined {
    const uniqueId = this.#hypervisor.getUniqueId(domid);
    if (uniqueId !== undefined) this.uniqueIdLooks++;
    return uniqueId;
  }

  /** Before 4.21 nothing tells two domains of one domid apart for certain. */
  #canBeSame(known: Domain | undefined, domain: Domain): boolean {
    if (known === undefined) return false;
    if (known.uniqueId !== undefined) return known.uniqueId === domain.uniqueId;
    return this.next.inSequence && domain.cpuTimeSeconds >= known.cpuTimeSeconds;
  }

  #remember({ domid, previous, domain }: Change): void {
    const held = previous?.dying === false ? previous.uuid : undefined;
    const holds = domain?.dying === false ? domain.uuid : undefined;
    if (domain === undefined) this.#known.delete(domid);
    else this.#known.set(domid, domain);
    if (held === holds) return;
    if (held !== undefined) this.holders.remove(held, domid);
    if (holds === undefined) return;
    // Another holder may have had to make room: then this is not the only one.
    this.recall(holds);
    this.holders.add(holds, domid);
  }
}
