/** From a UUID to its holders, step by step: those known, the next domid, xenstore's hint, a list. */
import type { Domain, Domid } from '../domain.ts';
import type { Dominfo } from '../hypervisor/dominfo.ts';
import type { Uuid } from '../uuid.ts';
import { XenError } from '../xen-error.ts';
import type { Census, ListSight } from './census.ts';
import type { Hints } from './hints.ts';
import type { Holder } from './holders.ts';
import type { ListOutcome, Lists } from './lists.ts';
import type { Looks, LookSteps } from './looks.ts';
import type { Moments } from './moments.ts';
import type {
  Ambiguous,
  Found,
  CallOptions,
  LookupResult,
  Source,
  Unavailable,
} from '../results.ts';

const DEFAULT_TIMEOUT_MS = 5000;

/** How often the first of several holders may be gone once the last was read, before one that was read is given. */
const CONFIRM_ROUNDS = 8;

/** A list costs about as much as so many looks. */
const LOOKS_OF_A_LIST = 8;
const DOMAINS_A_LOOK = 16;

const NOT_FOUND = { status: 'notFound' } as const;

/** What a list says; `look` where the holders have to be read singly. */
type Verdict = Found | typeof NOT_FOUND | 'look';

/** Called with the domain that a single look, begun at a moment, was the first to show with the UUID. */
type OnHolder = (domain: Domain, source: Source, began: number) => void;

interface HolderWaiter {
  /** The moment of its question: looks begun earlier say nothing to it. */
  readonly since: number;
  readonly tell: (domain: Domain, source: Source) => void;
}

export interface LookupsOptions {
  readonly census: Census;
  readonly moments: Moments;
  readonly looks: Looks;
  readonly lists: Lists;
  readonly hints: Hints;
}

export class Lookups {
  readonly #census: Census;
  readonly #moments: Moments;
  readonly #looks: Looks;
  readonly #lists: Lists;
  readonly #hints: Hints;
  readonly #waiters = new Map<Uuid, Set<HolderWaiter>>();
  /** Readings of holders that have not begun. */
  readonly #confirming = new Map<Uuid, Promise<Found | Ambiguous | undefined>>();

  constructor({ census, moments, looks, lists, hints }: LookupsOptions) {
    this.#census = census;
    this.#moments = moments;
    this.#looks = looks;
    this.#lists = lists;
    this.#hints = hints;
  }

  /** A promise only where it takes more than looks that are made at once. */
  lookup(uuid: Uuid, options: CallOptions = {}): LookupResult | Promise<LookupResult> {
    try {
      const searched = this.#hit(uuid) ?? this.#looks.run(this.#search(uuid));
      return searched === undefined || searched instanceof Promise
        ? this.#pend(uuid, searched, options)
        : searched;
    } catch (error) {
      return unavailable(error);
    }
  }

  /** The answer where it takes one look. What is known by `text` is a UUID, and so `text` is one. */
  hit(text: string): Found | undefined {
    try {
      return this.#hit(text as Uuid);
    } catch {
      // Whoever asks again hears of it.
      return undefined;
    }
  }

  /** The domid alone of what {@link hit} would find: no object is made. */
  hitDomid(text: string): Domid | undefined {
    try {
      const holder = this.#census.holders.only(text as Uuid);
      const info = holder && this.#lookAt(holder);
      if (info === undefined) return undefined;
      const { domid } = info;
      this.#census.noteSingle(domid, info, 'cache');
      return domid;
    } catch {
      return undefined;
    }
  }

  /** An answer each, in order; of one list at most, which is made at once where it costs less than looks at all of them. */
  async lookupMany(uuids: readonly Uuid[], options: CallOptions = {}): Promise<LookupResult[]> {
    const dear = uuids.length > LOOKS_OF_A_LIST + this.#census.count / DOMAINS_A_LOOK;
    return dear
      ? this.#lookupInList(uuids, options)
      : Promise.all(uuids.map(async (uuid) => this.lookup(uuid, options)));
  }

  /** For the census: a single look was the first to show this domain with its UUID. */
  readonly onHolder: OnHolder = (domain, source, began) => {
    for (const { since, tell } of this.#waiters.get(domain.uuid) ?? []) {
      if (since < began) tell(domain, source);
    }
  };

  /** The one case that counts: one holder known, and one look confirms it. Nothing is allocated but the answer. */
  #hit(uuid: Uuid): Found | undefined {
    const holder = this.#census.holders.only(uuid);
    const info = holder && this.#lookAt(holder);
    if (holder === undefined || info === undefined) return undefined;
    // Made before anybody is told of what else has changed: who is told may look as well, in the same memory. With
    // the UUID as it is kept here, which the caller's is perhaps a piece of a text with many others.
    const domain = info.toDomain(holder.uuid);
    this.#census.noteSingle(domain.domid, info, 'cache', domain);
    return { status: 'found', domain, source: 'cache' };
  }

  /** What one look at a known holder shows, if it still is one. That is yet to be noted. */
  #lookAt({ domid, handle }: Holder): Dominfo | undefined {
    if (this.#looks.stalled) return undefined;
    const info = this.#looks.look(domid);
    if (info === undefined || info.dying) return undefined;
    return info.hasHandle(handle) ? info : undefined;
  }

  *#search(uuid: Uuid): LookSteps<LookupResult | undefined> {
    return (yield* this.#confirm(uuid, 'cache')) ?? (yield* this.#guess(uuid));
  }

  /**
   * Reads the known holders singly. Several count only if they hold the UUID side by side, so the first is read
   * once more at the end.
   */
  *#confirm(uuid: Uuid, source: Source): LookSteps<Found | Ambiguous | undefined> {
    for (let round = 1; ; round++) {
      const domids = this.#census.holders.of(uuid);
      const domains: Domain[] = [];
      for (const domid of domids) {
        const domain = yield* this.#readHolder(domid, uuid, source);
        if (domain !== undefined) domains.push(domain);
      }
      const [first, second] = domains;
      if (first === undefined) return undefined;
      if (second === undefined) return { status: 'found', domain: first, source };
      if ((yield* this.#readHolder(first.domid, uuid, source)) !== undefined) {
        return { status: 'ambiguous', domains };
      }
      if (round === CONFIRM_ROUNDS) return { status: 'found', domain: second, source };
    }
  }

  /** Looks past the newest domid, where a VM that was just created is. */
  *#guess(uuid: Uuid): LookSteps<Found | Ambiguous | undefined> {
    const census = this.#census;
    for (const domid of census.next.candidates((candidate) => census.isPresent(candidate))) {
      const domain = yield* census.look(domid as Domid, 'next');
      if (domain === undefined) return undefined;
      if (domain.uuid !== uuid || domain.dying) continue;
      return this.#isHeldBySeveral(uuid)
        ? yield* this.#confirm(uuid, 'next')
        : { status: 'found', domain, source: 'next' };
    }
    return undefined;
  }

  *#readHolder(domid: Domid, uuid: Uuid, source: Source): LookSteps<Domain | undefined> {
    const domain = yield* this.#census.look(domid, source);
    return domain !== undefined && domain.uuid === uuid && !domain.dying ? domain : undefined;
  }

  /**
   * Waits for whichever shows the UUID first: a single look that anybody makes, xenstore's hint, a list.
   * @param searched the search so far, where it goes on off the event loop.
   */
  #pend(
    uuid: Uuid,
    searched: Promise<LookupResult | undefined> | undefined,
    { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: CallOptions,
  ): Promise<LookupResult> {
    return new Promise((resolve, reject) => {
      let over = false;
      let leaveList: (() => void) | undefined;
      let foundByList: (() => void) | undefined;
      const end = (settle: () => void): void => {
        if (over) return;
        over = true;
        clearTimeout(timer);
        leaveList?.();
        leaveLooks();
        signal?.removeEventListener('abort', onAbort);
        settle();
      };
      const answer = (result: LookupResult): void => end(() => resolve(result));
      const fail = (error: unknown): void =>
        end(() => {
          if (error instanceof XenError) resolve(unavailable(error));
          else reject(error);
        });
      const onAbort = (): void => end(() => reject(signal?.reason as Error));
      const confirm = (source: Source, otherwise: () => void): void => {
        this.#confirmSoon(uuid, source)
          .then((result) => (result === undefined ? otherwise() : answer(result)))
          .catch(fail);
      };
      const waitForList = (): void => {
        if (over) return;
        let verdict: Verdict = 'look';
        leaveList = this.#lists.wait('miss', {
          wantsSnapshot: false,
          seen: (sight) => {
            verdict = this.#judge(uuid, sight);
          },
          done: () => {
            if (verdict !== NOT_FOUND) foundByList?.();
            // Looks at what the list left in doubt may have shown another holder.
            const looks =
              verdict === 'look' || (verdict !== NOT_FOUND && this.#isHeldBySeveral(uuid));
            if (looks) confirm('list', waitForList);
            else answer(verdict as Exclude<Verdict, 'look'>);
          },
          fail,
        });
      };

      const timer = setTimeout(() => answer(TIMEOUT), timeoutMs);
      signal?.addEventListener('abort', onAbort);
      const shown = (domain: Domain, source: Source): void => {
        if (this.#isHeldBySeveral(uuid)) confirm(source, () => undefined);
        else answer({ status: 'found', domain, source });
      };
      const leaveLooks = this.#awaitHolder(uuid, shown);
      if (signal?.aborted === true) onAbort();
      else if (searched === undefined) waitForList();
      else {
        searched
          .then((result) => {
            // Others, who had begun to look before this was asked, may have met its domain meanwhile.
            if (result === undefined) confirm('next', waitForList);
            else answer(result);
          })
          .catch(fail);
      }
      if (!over) foundByList = this.#hints.follow(uuid, shown);
    });
  }

  /**
   * Reads the holders in a turn of its own: never in the middle of the look, or the list, that led to it. All who
   * want it before it begins share it.
   */
  #confirmSoon(uuid: Uuid, source: Source): Promise<Found | Ambiguous | undefined> {
    const shared =
      this.#confirming.get(uuid) ??
      Promise.resolve().then(() => {
        this.#confirming.delete(uuid);
        return this.#looks.run(this.#confirm(uuid, source));
      });
    this.#confirming.set(uuid, shared);
    return shared;
  }

  #lookupInList(uuids: readonly Uuid[], options: CallOptions): Promise<LookupResult[]> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, signal } = options;
    const all = (result: LookupResult): LookupResult[] => uuids.map(() => result);
    return new Promise((resolve, reject) => {
      const onAbort = (): void => end(() => reject(signal?.reason as Error));
      const timer = setTimeout(() => end(() => resolve(all(TIMEOUT))), timeoutMs);
      signal?.addEventListener('abort', onAbort);
      let verdicts: readonly Verdict[] = [];
      const leave = this.#lists.wait('miss', {
        wantsSnapshot: true,
        seen: (sight) => {
          verdicts = uuids.map((uuid) => this.#judge(uuid, sight));
        },
        done: (outcome) => {
          const judged = this.#judgeMany(uuids, verdicts, outcome, options);
          end(() => resolve(judged));
        },
        fail: (error) => end(() => resolve(all(unavailable(error)))),
      });
      const end = (settle: () => void): void => {
        clearTimeout(timer);
        leave();
        signal?.removeEventListener('abort', onAbort);
        settle();
      };
      if (signal?.aborted === true) onAbort();
    });
  }

  #judgeMany(
    uuids: readonly Uuid[],
    verdicts: readonly Verdict[],
    { snapshot, doubtful }: ListOutcome,
    options: CallOptions,
  ): Promise<LookupResult[]> {
    const inDoubt = new Set(doubtful);
    const holders = new Map<Uuid, Domain | 'several'>();
    for (const domain of snapshot?.shown.values() ?? []) {
      if (!domain.dying) holders.set(domain.uuid, holders.has(domain.uuid) ? 'several' : domain);
    }
    return Promise.all(
      uuids.map(async (uuid, index): Promise<LookupResult> => {
        const verdict = verdicts[index] as Verdict;
        if (verdict !== 'look' && !this.#isHeldBySeveral(uuid)) return verdict;
        const holder = holders.get(uuid);
        // Several are to be read singly, and so is what the list left in doubt.
        return holder === undefined ||
          holder === 'several' ||
          inDoubt.has(holder.domid) ||
          this.#isHeldBySeveral(uuid)
          ? this.lookup(uuid, options)
          : { status: 'found', domain: holder, source: 'list' };
      }),
    );
  }

  #isHeldBySeveral(uuid: Uuid): boolean {
    return this.#census.holders.of(uuid).length > 1;
  }

  #awaitHolder(uuid: Uuid, tell: HolderWaiter['tell']): () => void {
    const waiter = { since: this.#moments.next(), tell };
    const waiters = this.#waiters.get(uuid) ?? new Set();
    this.#waiters.set(uuid, waiters.add(waiter));
    return () => {
      waiters.delete(waiter);
      if (waiters.size === 0) this.#waiters.delete(uuid);
    };
  }

  /** What a list that began after the question says to it; `look` where its holders have to be read singly. */
  #judge(uuid: Uuid, { holders, doubtfulUuids }: ListSight): Verdict {
    const census = this.#census;
    const [shown, other] = holders.get(uuid) ?? [];
    const known = census.holders.of(uuid).length;
    if (shown !== undefined && other === undefined && known <= 1) {
      return { status: 'found', domain: shown, source: 'list' };
    }
    // Known but not new to this list: some look has shown it since the question.
    if (known > 0 || shown !== undefined || doubtfulUuids.has(uuid)) return 'look';
    return census.recall(uuid) ? 'look' : NOT_FOUND;
  }
}

const TIMEOUT: Unavailable = { status: 'unavailable', cause: 'timeout' };

/** Only what the hypervisor refused is an answer; a mistake of ours is not. */
export function unavailable(error: unknown): Unavailable {
  if (!(error instanceof XenError)) throw error;
  return { status: 'unavailable', cause: error.code, error };
}
