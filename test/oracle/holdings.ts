/** A history of the domains that a test made, for hosts that record none: each act lies between two moments, and answers are judged by that. */
import { namesNoVm } from '../../src/vm-uuid.ts';
import type { DomidResult, LookupResult } from '../../src/client/client.ts';
import type { Uuid } from '../../src/uuid.ts';
import { contradiction, type HolderHistory } from './history-judge.ts';

/** An act of the host. It took effect at some instant between two moments of `performance.now()`. */
interface Act {
  readonly from: number;
  to: number;
}

const UNDONE = Infinity;

/** A domain held a UUID, from one act until another. */
export interface Holding {
  readonly domid: number;
  readonly uuid: Uuid;
  readonly begins: Act;
  ends: Act | undefined;
  /** When the last question that found it was asked. */
  foundAt: number | undefined;
}

/** A question's moments, by the asker's clock. */
export interface Span {
  readonly asked: number;
  readonly answered: number;
}

/** A domain in a list of all domains. */
export interface Listed {
  readonly domid: number;
  readonly uuid: string;
  readonly dying: boolean;
}

/** Ended holdings to ask for. Only the newest stay. */
const REMEMBERED = 500;

function heldBefore({ domid, begins, ends }: Holding, answered: number): string {
  const [from, to] = [begins.from, ends?.to ?? Infinity].map((at) => Math.round(answered - at));
  return `${domid} held it from ${from} to ${to} ms before`;
}

/** Whether the holding certainly lasted from one moment to another. */
function lasted({ begins, ends }: Holding, from: number, to: number): boolean {
  return begins.to < from && (ends === undefined || ends.from > to);
}

export class Holdings implements HolderHistory {
  readonly #byUuid = new Map<Uuid, Holding[]>();
  readonly #living = new Map<number, Holding>();
  #past: Holding[] = [];
  /** Acts that have not returned: a client may learn of a rebooted domain before the act that made it returns. */
  readonly #beginning = new Map<Uuid, Promise<unknown>>();
  /** Every holding, also ended ones. */
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

  /** Records that `act` makes or renames a domain. It returns the domid. */
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

  /** Records that `act` destroys a domain. */
  async end(domid: number, act: () => Promise<void>): Promise<void> {
    const ends = { from: performance.now(), to: UNDONE };
    const holding = this.#living.get(domid);
    // From now on "not found" may be right.
    if (holding !== undefined) holding.ends = ends;
    await act();
    ends.to = performance.now();
    this.#end(domid, ends);
  }

  /** Waits until the pending acts, with this UUID or with any, are on record. */
  async recorded(uuid?: Uuid): Promise<void> {
    const acts = [...this.#beginning].filter(([of]) => uuid === undefined || of === uuid);
    await Promise.allSettled(acts.map(([, act]) => act));
  }

  heldUndyingAtSomeInstant(domid: number, uuid: Uuid, from: number, to: number): boolean {
    return this.#holdingAt(domid, uuid, from, to) !== undefined;
  }

  holderThroughout(uuid: Uuid, from: number, to: number): Holding | undefined {
    return this.#byUuid.get(uuid)?.find((holding) => lasted(holding, from, to));
  }

  /**
   * Returns why the answer is wrong; undefined if it may be right. Marks the holding that was found.
   * Requires that all acts with this UUID are {@link recorded}.
   */
  judge(uuid: Uuid, result: LookupResult | DomidResult, span: Span): string | undefined {
    const { asked: from, answered: to } = span;
    if (result.status === 'ambiguous') return `${uuid}: ambiguous, while no two domains held it`;
    const wrong = contradiction(this, uuid, result, { from, to });
    if (wrong !== undefined) {
      const held = (this.#byUuid.get(uuid) ?? []).map((each) => heldBefore(each, to));
      return `${wrong}: ${held.join('; ')}`;
    }
    if (result.status === 'found') {
      const domid = 'domain' in result ? result.domain.domid : result.domid;
      const holding = this.#holdingAt(domid, uuid, from, to);
      if (holding !== undefined) holding.foundAt = Math.max(holding.foundAt ?? 0, from);
    }
    return undefined;
  }

  /**
   * Returns what is wrong with a list of all domains, a line each. Ignores UUIDs that are not on record.
   * @param lister named in the lines.
   */
  async judgeList(lister: string, list: () => Promise<readonly Listed[]>): Promise<string[]> {
    const asked = performance.now();
    const listed = (await list()).filter(({ dying }) => !dying);
    const answered = performance.now();
    await this.recorded();
    const lines: string[] = [];
    for (const { domid, uuid } of listed) {
      if (!this.#byUuid.has(uuid as Uuid)) continue;
      if (this.heldUndyingAtSomeInstant(domid, uuid as Uuid, asked, answered)) continue;
      lines.push(`${lister} lists ${domid} as ${uuid}, which it was not`);
    }
    const seen = new Set(listed.map(({ domid, uuid }) => `${domid} ${uuid}`));
    for (const holding of this.all) {
      const { domid, uuid } = holding;
      if (lasted(holding, asked, answered) && !seen.has(`${domid} ${uuid}`)) {
        lines.push(`${lister} does not list ${domid} ${uuid}, which was there all the time`);
      }
    }
    return lines;
  }

  #holdingAt(domid: number, uuid: Uuid, from: number, to: number): Holding | undefined {
    return this.#byUuid.get(uuid)?.find(({ domid: held, begins, ends }) => {
      return held === domid && begins.from < to && (ends?.to ?? Infinity) > from;
    });
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
