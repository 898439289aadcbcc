/** Who held which UUID, and when: the record of whoever makes the domains. Answers are judged by it. */
import { namesNoVm } from '../../src/vm-uuid.ts';
import type { DomidResult, LookupResult } from '../../src/client/client.ts';
import type { Uuid } from '../../src/uuid.ts';

/** An act of the host: it came to be between two moments of `performance.now()`. */
interface Act {
  readonly from: number;
  to: number;
}

const UNDONE = Infinity;

/** A domain has a UUID, from one act on until another. */
export interface Holding {
  readonly domid: number;
  readonly uuid: Uuid;
  readonly begins: Act;
  ends: Act | undefined;
  /** When the last question was asked that it was the answer to. */
  foundAt: number | undefined;
}

/** A question's moments, by the asker's clock. */
export interface Span {
  readonly asked: number;
  readonly answered: number;
}

/** A domain in a list of all of them. */
export interface Listed {
  readonly domid: number;
  readonly uuid: string;
  readonly dying: boolean;
}

/** Holdings of the past that are kept to ask for: who asks for the dead asks for those who died of late. */
const REMEMBERED = 500;

function heldBefore({ domid, begins, ends }: Holding, answered: number): string {
  const [from, to] = [begins.from, ends?.to ?? Infinity].map((at) => Math.round(answered - at));
  return `${domid} had it from ${from} to ${to} ms before`;
}

export class Holdings {
  readonly #byUuid = new Map<Uuid, Holding[]>();
  readonly #living = new Map<number, Holding>();
  #past: Holding[] = [];
  /** Acts that have not been heard of yet: of a domain that boots again others may hear before its maker does. */
  readonly #beginning = new Map<Uuid, Promise<unknown>>();
  /** Every holding there ever was. */
  readonly all: Holding[] = [];

  get living(): readonly Holding[] {
    return [...this.#living.values()];
  }

  get past(): readonly Holding[] {
    return this.#past;
  }

  at(domid: number): Holding | undefined {
    return this.#living.get(domid);
  }

  /** A domain is made, or renamed, by `act`, which tells its domid. */
  begin(uuid: Uuid, act: () => Promise<number>): Promise<Holding> {
    const beginning = this.#begin(uuid, act).finally(() => this.#beginning.delete(uuid));
    this.#beginning.set(uuid, beginning);
    return beginning;
  }

  async #begin(uuid: Uuid, act: () => Promise<number>): Promise<Holding> {
    const begins = { from: performance.now(), to: UNDONE };
    const domid = await act();
    this.#end(domid, begins);
    begins.to = performance.now();
    const holding: Holding = { domid, uuid, begins, ends: undefined, foundAt: undefined };
    this.all.push(holding);
    this.#living.set(domid, holding);
    const holdings = this.#byUuid.get(uuid);
    if (holdings === undefined) this.#byUuid.set(uuid, [holding]);
    else holdings.push(holding);
    return holding;
  }

  /** A domain is destroyed, by `act`. */
  async end(domid: number, act: () => Promise<void>): Promise<void> {
    const ends = { from: performance.now(), to: UNDONE };
    const holding = this.#living.get(domid);
    // From here on "not found" may be right.
    if (holding !== undefined) holding.ends = ends;
    await act();
    ends.to = performance.now();
    this.#end(domid, ends);
  }

  /** What is being done now, with this UUID or with any, is on record. */
  async recorded(uuid?: Uuid): Promise<void> {
    const acts = [...this.#beginning].filter(([of]) => uuid === undefined || of === uuid);
    await Promise.allSettled(acts.map(([, act]) => act));
  }

  /** To be asked once all is {@link recorded}: why the answer is wrong; undefined where it may be right. What found a holder marks it found. */
  judge(uuid: Uuid, result: LookupResult | DomidResult, span: Span): string | undefined {
    const holdings = this.#byUuid.get(uuid) ?? [];
    if (result.status === 'unavailable') return undefined;
    if (result.status === 'ambiguous') return `${uuid}: ambiguous, while no two domains had it`;
    if (result.status === 'notFound') {
      const throughout = holdings.find(({ begins, ends }) => {
        return begins.to < span.asked && (ends === undefined || ends.from > span.answered);
      });
      if (throughout === undefined) return undefined;
      return `${uuid}: not found, while domain ${throughout.domid} had it all the time`;
    }
    const domid = 'domain' in result ? result.domain.domid : result.domid;
    const holding = holdings.find(({ domid: held, begins, ends }) => {
      return held === domid && begins.from < span.answered && (ends?.to ?? Infinity) > span.asked;
    });
    if (holding === undefined) {
      const held = holdings.map((each) => heldBefore(each, span.answered)).join('; ');
      return `${uuid}: domain ${domid}, which did not have it from ${Math.round(span.answered - span.asked)} ms before the answer on; ${held}`;
    }
    holding.foundAt = Math.max(holding.foundAt ?? 0, span.asked);
    return undefined;
  }

  /**
   * Why a list of all domains is wrong, a line each.
   * @param who gave it. Domains that this record has nothing of are not its business.
   */
  async judgeList(who: string, list: () => Promise<readonly Listed[]>): Promise<string[]> {
    const asked = performance.now();
    const listed = (await list()).filter(({ dying }) => !dying);
    const answered = performance.now();
    await this.recorded();
    const lines: string[] = [];
    for (const { domid, uuid } of listed) {
      const holdings = this.#byUuid.get(uuid as Uuid);
      const holds = holdings?.some(({ domid: held, begins, ends }) => {
        return held === domid && begins.from < answered && (ends?.to ?? Infinity) > asked;
      });
      if (holds === false) lines.push(`${who} lists ${domid} as ${uuid}, which it was not`);
    }
    const seen = new Set(listed.map(({ domid, uuid }) => `${domid} ${uuid}`));
    for (const { domid, uuid, begins, ends } of this.all) {
      const throughout = begins.to < asked && (ends === undefined || ends.from > answered);
      if (throughout && !seen.has(`${domid} ${uuid}`)) {
        lines.push(`${who} does not list ${domid} ${uuid}, which was there all the time`);
      }
    }
    return lines;
  }

  #end(domid: number, act: Act): void {
    const holding = this.#living.get(domid);
    if (holding === undefined) return;
    holding.ends = act;
    this.#living.delete(domid);
    if (namesNoVm(holding.uuid)) return;
    this.#past.push(holding);
    if (this.#past.length > REMEMBERED) this.#past = this.#past.slice(-REMEMBERED / 2);
  }
}
