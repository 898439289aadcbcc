/** Takes in every look: compares it with the mirror, publishes the changes, and keeps the last published domains. */
import { DOMID_FIRST_RESERVED, type Domain, type Domid } from '../domain.ts';
import type { Dominfo, DominfoList } from '../hypervisor/dominfo.ts';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';
import type { Source } from '../results.ts';
import type { Uuid } from '../uuid.ts';
import { changesBetween, type Sight } from './feed/difference.ts';
import type { Feed } from './feed/feed.ts';
import { hasZeroHalf, isNil, isTombstone } from './handle.ts';
import { Holders } from './holders.ts';
import type { Looks } from './looks.ts';
import { type HolderObserver, Mirror } from './mirror.ts';
import { NextDomid } from './next-domid.ts';
import { type ListSource, Snapshot } from './feed/snapshot.ts';
import type { Waiters } from './waiters.ts';

/** Attempts to read a unique id together with the domain that it belongs to. */
const ID_TRIES = 4;

/** The differences between a list and the mirror, after the list has been taken in. */
export interface ListSight {
  /** UUIDs of domains, not dying, that differed from the mirror. */
  readonly shown: ReadonlySet<Uuid>;
  /** Domains that differed from the mirror, in the state that the last look showed; undefined if it showed no domain. */
  readonly looked: ReadonlyMap<Domid, Domain | undefined>;
}

export interface CensusOptions {
  readonly hypervisor: Hypervisor;
  readonly looks: Looks;
  readonly feed: Feed;
  readonly waiters: Waiters;
  /** UUIDs to cache. */
  readonly maxUuids: number;
  /** Notified of each change of a holder, from the first list on. */
  readonly table?: HolderObserver | undefined;
}

export class Census {
  readonly holders: Holders;
  readonly next: NextDomid = new NextDomid();
  /** Lists that have begun so far. */
  lists = 0;
  /** Hypercalls for unique ids. */
  uniqueIdLooks = 0;
  readonly #hypervisor: Hypervisor;
  readonly #looks: Looks;
  readonly #feed: Feed;
  readonly #waiters: Waiters;
  readonly #mirror = new Mirror();
  /** The domains that the feed has published as created and not as destroyed, each in the state of its last change, by domid. */
  readonly #told: (Domain | undefined)[] = [];
  /** The number of lists that had begun when each domid was last looked at singly. */
  readonly #listsAtLook = new Uint32Array(DOMID_FIRST_RESERVED);
  /** {@link ListSight.shown} of the next list. Includes the UUIDs of a list that failed after a part of it was taken in. */
  #shown = new Set<Uuid>();
  /**
   * Memory of a copy that has been decoded, for the copy of the next list: the first access to each page of new memory takes
   * longer than everything else in a copy.
   */
  #spare: ArrayBuffer | undefined;

  constructor({ hypervisor, looks, feed, waiters, maxUuids, table }: CensusOptions) {
    this.#hypervisor = hypervisor;
    this.#looks = looks;
    this.#feed = feed;
    this.#waiters = waiters;
    this.holders = new Holders(this.#mirror, maxUuids);
    if (table !== undefined) this.#mirror.observe(table);
  }

  /** Domains that exist, as of the last look at each domid. */
  get count(): number {
    return this.#mirror.count;
  }

  /** The domain as the feed last published it. */
  told(domid: Domid): Domain | undefined {
    return this.#told[domid];
  }

  /** Domids to look at for a domain that was just created, one after the other, until one has no domain. */
  guesses(): Generator<Domid> {
    return this.next.candidates(this.#mirror);
  }

  /**
   * Looks at a domid, and looks again if the first look may show a half written handle. Publishes the changes.
   * @returns the domain as the last look showed it; undefined if there is none.
   */
  look(domid: Domid, source: Source): Domain | undefined {
    const info = this.#lookTwice(domid);
    this.#noteLook(domid);
    return this.#isUnchanged(domid, info)
      ? info?.toDomain(undefined, this.#told[domid]?.uniqueId)
      : this.#takeSingle(domid, info, info?.toDomain(), source);
  }

  /**
   * Takes in a look that confirmed a known holder.
   * @param domain the copy of `info`, if the caller has made it already.
   * @returns `domain` if nothing has changed; otherwise the domain as the last look showed it.
   */
  takeKnown(info: Dominfo, domain?: Domain): Domain | undefined {
    const { domid } = info;
    this.#noteLook(domid);
    return this.#mirror.matches(info)
      ? domain
      : this.#takeSingle(domid, info, domain ?? info.toDomain(), 'cache');
  }

  /** Returns the unique id of a domain that a look has just shown; undefined if its domid has another domain now. */
  uniqueIdOf({ domid, uuid }: Domain): string | undefined {
    const uniqueId = this.#readUniqueId(domid);
    return uniqueId !== undefined && this.look(domid, 'cache')?.uuid === uuid
      ? uniqueId
      : undefined;
  }

  /** Call before a list: later single looks may disagree with it. @returns its place among all lists, 1 for the first. */
  beginList(): number {
    return ++this.lists;
  }

  /**
   * Takes in the first list as the initial state: publishes no changes, except for domains with a handle that may be half
   * written. Unique ids are read later, because each takes two hypercalls.
   */
  takeFirstList(list: DominfoList): ListSight {
    const { indexes } = this.#mirror.compare(list);
    const doubtful: Domid[] = [];
    let highest = 0;
    for (const index of indexes) {
      const info = list.at(index);
      const { domid } = info;
      highest = Math.max(highest, domid);
      if (this.#isDoubtful(info)) {
        doubtful.push(domid);
        continue;
      }
      this.#mirror.set(info);
      if (!info.dying && !isNil(info) && !isTombstone(info)) this.#told[domid] = info.toDomain();
    }
    this.next.begin(highest);
    const looked = new Map<Domid, Domain | undefined>();
    this.#settle(doubtful, looked);
    return { shown: new Set(), looked };
  }

  /**
   * Takes in a list. Publishes the domains that have gone first: when a VM has rebooted, its old domain is destroyed before
   * its new one is created.
   * @throws XenError if the list has an invalid or repeated domid, or if a single look fails that the list makes necessary (see
   *   {@link #settle}).
   */
  takeList(list: DominfoList): ListSight {
    const { indexes, missing } = this.#mirror.compare(list);
    const shown = this.#shown;
    const doubtful: Domid[] = [];
    const newcomers: Domid[] = [];
    const looked = new Map<Domid, Domain | undefined>();
    for (const domid of missing) {
      if (this.#isLookedAtDuringList(domid)) doubtful.push(domid);
      else this.#apply(domid, undefined, undefined);
    }
    for (const index of indexes) {
      const info = list.at(index);
      const { domid } = info;
      if (!this.#mirror.has(domid)) newcomers.push(domid);
      if (!info.dying) shown.add(info.uuid);
      if (this.#isLookedAtDuringList(domid) || this.#isDoubtful(info)) doubtful.push(domid);
      else {
        const domain = this.#apply(domid, info, info.toDomain());
        if (domain?.dying === false) shown.add(domain.uuid);
        looked.set(domid, domain);
      }
    }
    this.next.sawListed(newcomers);
    this.#settle(doubtful, looked);
    this.#shown = new Set();
    return { shown, looked };
  }

  /** Returns all domains in the state after the changes published so far. Call it immediately after `list` has been taken in. */
  snapshot(list: DominfoList, { looked }: ListSight): Snapshot {
    const memory = this.#memoryFor(list);
    const source: ListSource = {
      list: list.copy(memory),
      looked,
      end: this.#mirror.end,
      onDecoded: () => (this.#spare = memory),
    };
    // Few domains with high domids make a sparse array, of which `concat` visits only the elements that exist, `slice` every index.
    return new Snapshot(this.#feed.token, this.#told.concat(), source);
  }

  /**
   * Reads the unique ids of published domains that have none, from domid `from` on, at most `most` of them.
   * @returns the domid to continue from; undefined when all have been read.
   */
  readUniqueIds(from: number, most: number): number | undefined {
    let left = most;
    for (let domid = from; domid < this.#told.length; domid++) {
      const told = this.#told[domid];
      if (told === undefined || told.uniqueId !== undefined) continue;
      if (left-- === 0) return domid;
      const uniqueId = this.uniqueIdOf(told);
      // The look that confirms the id may have shown a change.
      const now = this.#told[domid];
      if (uniqueId !== undefined && now?.uuid === told.uuid) {
        this.#told[domid] = { ...now, uniqueId };
      }
    }
    return undefined;
  }

  #memoryFor({ bytes }: DominfoList): ArrayBuffer {
    const spare = this.#spare;
    this.#spare = undefined;
    return spare !== undefined && spare.byteLength >= bytes ? spare : new ArrayBuffer(bytes);
  }

  #noteLook(domid: Domid): void {
    this.#listsAtLook[domid] = this.lists;
  }

  #takeSingle(
    domid: Domid,
    info: Dominfo | undefined,
    domain: Domain | undefined,
    source: Source,
  ): Domain | undefined {
    if (info !== undefined && !this.#mirror.has(domid)) this.next.sawSingly(domid);
    return this.#answerPending(this.#apply(domid, info, domain), source);
  }

  #lookTwice(domid: Domid): Dominfo | undefined {
    const info = this.#looks.look(domid);
    return info !== undefined && this.#isDoubtful(info) ? this.#looks.look(domid) : info;
  }

  /**
   * Whether the handle may be half written: the domid had no domain before and half of the handle is zero, or the domid had
   * another handle before.
   * Up to Xen 4.20 a domain is listed before its handle is copied, in two halves (`xen/common/domain.c`).
   */
  #isDoubtful(info: Dominfo): boolean {
    if (!this.#mirror.has(info.domid)) return hasZeroHalf(info);
    return !this.#mirror.hasSameHandle(info);
  }

  /** Whether a single look was made after the list began. If that look and the list disagree, either may be the newer one. */
  #isLookedAtDuringList(domid: Domid): boolean {
    return this.#listsAtLook[domid] === this.lists;
  }

  /** Looks singly at domids for which the list may be wrong: it may show a half written or an older handle. */
  #settle(domids: readonly Domid[], looked: Map<Domid, Domain | undefined>): void {
    for (const domid of domids) {
      const info = this.#lookTwice(domid);
      const domain = info?.toDomain();
      if (this.#isUnchanged(domid, info)) looked.set(domid, domain);
      else looked.set(domid, this.#answerPending(this.#apply(domid, info, domain), 'list'));
    }
  }

  #isUnchanged(domid: Domid, info: Dominfo | undefined): boolean {
    return info === undefined ? !this.#mirror.has(domid) : this.#mirror.matches(info);
  }

  /** Answers the pending look-ups of a UUID after a single look has shown a holder of it. */
  #answerPending(domain: Domain | undefined, source: Source): Domain | undefined {
    if (domain === undefined) return undefined;
    const told = this.#told[domain.domid];
    if (told?.dying === false && told.uuid === domain.uuid) this.#waiters.shown(domain, source);
    return domain;
  }

  /**
   * Updates the mirror and publishes the changes that a look shows.
   * @returns the domain as the last look showed it. Reading the unique id makes further looks, so it may differ from `seen`.
   */
  #apply(
    domid: Domid,
    seenInfo: Dominfo | undefined,
    seen: Domain | undefined,
  ): Domain | undefined {
    const told = this.#told[domid];
    const { info, domain } = this.#identified(domid, told, seenInfo, seen);
    const changes = changesBetween(told, this.#sight(told, info, domain));
    if (info === undefined) this.#mirror.delete(domid);
    else this.#mirror.set(info);
    for (const change of changes) this.#told[domid] = change.domain;
    this.#feed.publish(changes);
    return domain;
  }

  /** Adds the unique id. Reads it if the domain may not be the one that the feed has at this domid. */
  #identified(
    domid: Domid,
    told: Domain | undefined,
    seenInfo: Dominfo | undefined,
    seen: Domain | undefined,
  ): { readonly info: Dominfo | undefined; readonly domain: Domain | undefined } {
    let [info, domain] = [seenInfo, seen];
    if (info === undefined || domain === undefined) return { info, domain };
    if (this.#hypervisor.version.uniqueIds !== 'yes') return { info, domain };
    if (!mayBeOther(told, domain)) {
      const uniqueId = told?.uniqueId;
      return { info, domain: uniqueId === undefined ? domain : { ...domain, uniqueId } };
    }
    if (told === undefined && (domain.dying || isNil(info) || isTombstone(info))) {
      return { info, domain };
    }
    for (let tries = 0; tries < ID_TRIES; tries++) {
      const uniqueId = this.#readUniqueId(domid);
      info = this.#looks.look(domid);
      domain = info?.toDomain();
      if (domain === undefined) break;
      // An id belongs to the domain of a look only if it is the same before and after the look.
      if (uniqueId !== undefined && this.#readUniqueId(domid) === uniqueId) {
        return { info, domain: { ...domain, uniqueId } };
      }
    }
    return { info, domain };
  }

  #sight(
    told: Domain | undefined,
    info: Dominfo | undefined,
    domain: Domain | undefined,
  ): Sight | undefined {
    if (info === undefined || domain === undefined) return undefined;
    const same = !mayBeOther(told, domain) || this.#canBeSame(told, domain);
    return { domain, nil: isNil(info), tombstone: isTombstone(info), same };
  }

  #readUniqueId(domid: Domid): string | undefined {
    this.uniqueIdLooks++;
    return this.#hypervisor.getUniqueId(domid);
  }

  /**
   * Whether a domid may still have the same domain. Without unique ids (before Xen 4.21): if Xen assigns domids in sequence,
   * so that none is reused soon, and the CPU time has not decreased.
   */
  #canBeSame(told: Domain | undefined, domain: Domain): boolean {
    if (told === undefined) return false;
    if (told.uniqueId !== undefined && told.uniqueId === domain.uniqueId) return true;
    return this.next.inSequence && domain.cpuTimeSeconds >= told.cpuTimeSeconds;
  }
}

/** Whether the domain that a look showed may not be the one that the feed has at this domid. */
function mayBeOther(told: Domain | undefined, domain: Domain): boolean {
  return (
    told === undefined ||
    told.dying ||
    told.uuid !== domain.uuid ||
    (told.shutdown && !domain.shutdown)
  );
}
