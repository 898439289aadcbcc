/** The state of every domain of a host at every step, with which an oracle checks answers. */
import type { Domid } from '../domain.ts';
import type { Uuid } from '../uuid.ts';

/** A span of steps, from the step that began it (included) to the step that ended it (not included). */
export interface Span {
  readonly from: number;
  /** `Infinity` while it lasts. */
  readonly to: number;
}

/** The time in which one domain has one handle and is not dying. */
export interface Holding extends Span {
  /** Number of the domain, unique on its host; domids are reused, this is not. */
  readonly incarnation: number;
  readonly domid: Domid;
  readonly uuid: Uuid;
}

/** The state of one domain, as a look would show it, between two changes. */
export interface DomainState extends Span {
  readonly incarnation: number;
  readonly domid: Domid;
  readonly uuid: Uuid;
  readonly dying: boolean;
  readonly paused: boolean;
  /** The shutdown code; undefined while the domain is not shut down. */
  readonly shutdownCode: number | undefined;
}

type Ended<T> = { -readonly [Key in keyof T]: T[Key] };

/** Spans that have ended, in the order of their ends, and spans that still last. */
class Spans<T extends Span> {
  ended: Ended<T>[] = [];
  readonly lasting: Ended<T>[] = [];

  end(span: Ended<T>, step: number): void {
    span.to = step;
    this.lasting.splice(this.lasting.indexOf(span), 1);
    this.ended.push(span);
  }

  /** Yields the spans that overlap the steps `from`..`to`, both included. */
  *during(from: number, to: number): Generator<T> {
    for (const span of this.lasting) if (span.from <= to) yield span;
    for (let index = this.ended.length - 1; index >= 0; index--) {
      const span = this.ended[index];
      // Ordered by end: all remaining spans ended even earlier.
      if (span === undefined || span.to <= from) return;
      if (span.from <= to) yield span;
    }
  }

  forgetBefore(step: number): void {
    const kept = this.ended.findIndex(({ to }) => to > step);
    this.ended = kept < 0 ? [] : this.ended.slice(kept);
  }

  get isEmpty(): boolean {
    return this.ended.length === 0 && this.lasting.length === 0;
  }
}

/** The state of every domain of a host at every step. */
export class HostHistory {
  readonly #holdings = new Map<Uuid, Spans<Holding>>();
  readonly #states = new Map<Domid, Spans<DomainState>>();
  #knownSince = 0;

  /** First step that is still recorded; queries about earlier steps throw. */
  get knownSince(): number {
    return this.#knownSince;
  }

  /**
   * Called by the host: records the state of a domain from `step` on. Each change has its own step, and
   * {@link recordGone} comes before the domid is reused.
   */
  record(step: number, domain: Omit<DomainState, keyof Span>): void {
    const { incarnation, domid, uuid, dying, paused, shutdownCode } = domain;
    let states = this.#states.get(domid);
    if (states === undefined) this.#states.set(domid, (states = new Spans()));
    const last = states.lasting[0];
    if (last !== undefined) states.end(last, step);
    states.lasting.push({
      incarnation,
      domid,
      uuid,
      dying,
      paused,
      shutdownCode,
      from: step,
      to: Infinity,
    });
    const held = last !== undefined && !last.dying;
    if (held && !dying && last.uuid === uuid) return;
    if (held) this.#endHolding(last, step);
    if (dying) return;
    let holdings = this.#holdings.get(uuid);
    if (holdings === undefined) this.#holdings.set(uuid, (holdings = new Spans()));
    holdings.lasting.push({ incarnation, domid, uuid, from: step, to: Infinity });
  }

  /** Called by the host: records that the domain is gone from `step` on. */
  recordGone(step: number, domid: Domid): void {
    const states = this.#states.get(domid);
    const last = states?.lasting[0];
    if (states === undefined || last === undefined) return;
    states.end(last, step);
    this.#endHolding(last, step);
  }

  #endHolding({ uuid, incarnation }: DomainState, step: number): void {
    const holdings = this.#holdings.get(uuid);
    const holding = holdings?.lasting.find((span) => span.incarnation === incarnation);
    if (holdings !== undefined && holding !== undefined) holdings.end(holding, step);
  }

  /** Returns whether `domid` had `uuid` and was not dying at some step of `from`..`to`, both included: the promise of `found`. */
  heldUndyingAtSomeInstant(domid: number, uuid: Uuid, from: number, to: number): boolean {
    for (const holding of this.#during(uuid, from, to)) if (holding.domid === domid) return true;
    return false;
  }

  /** Returns whether one domain had `uuid` and was not dying at all steps of `from`..`to`; then `notFound` is wrong. */
  heldUndyingThroughout(uuid: Uuid, from: number, to: number): boolean {
    return this.holderThroughout(uuid, from, to) !== undefined;
  }

  /** Returns a domain that had `uuid` and was not dying at all steps of `from`..`to`. */
  holderThroughout(uuid: Uuid, from: number, to: number): Holding | undefined {
    for (const holding of this.#during(uuid, from, to)) {
      if (holding.from <= from && holding.to > to) return holding;
    }
    return undefined;
  }

  /** Returns the domains that had `uuid` and were not dying at some step of `from`..`to`, unordered. */
  holdings(uuid: Uuid, from: number, to: number): Holding[] {
    return [...this.#during(uuid, from, to)];
  }

  /** Returns the domids that have had a domain, in no order. */
  domids(): Domid[] {
    return [...this.#states.keys()];
  }

  /** Returns the state of `domid` at `step`, including the change made in that step. */
  domainAt(domid: number, step: number): DomainState | undefined {
    this.#checkKnown(step);
    return (
      this.#states
        .get(domid as Domid)
        ?.during(step, step)
        .next().value ?? undefined
    );
  }

  /** Returns the state of all domains at `step`, in ascending domid, as an instantaneous list would show it. */
  stateAt(step: number): DomainState[] {
    this.#checkKnown(step);
    const found: DomainState[] = [];
    for (const states of this.#states.values()) {
      for (const state of states.during(step, step)) found.push(state);
    }
    return found.toSorted((one, other) => one.domid - other.domid);
  }

  /** Returns the states of all domains that had `domid` at some step of `from`..`to`, oldest first. */
  statesOf(domid: number, from: number, to: number): DomainState[] {
    this.#checkKnown(from);
    const states = this.#states.get(domid as Domid)?.during(from, to) ?? [];
    return [...states].toSorted((one, other) => one.from - other.from);
  }

  /** Drops the spans that ended before `step`, to bound the memory of a long run. */
  forgetBefore(step: number): void {
    this.#knownSince = Math.max(this.#knownSince, step);
    for (const [uuid, spans] of this.#holdings) {
      spans.forgetBefore(step);
      if (spans.isEmpty) this.#holdings.delete(uuid);
    }
    for (const [domid, spans] of this.#states) {
      spans.forgetBefore(step);
      if (spans.isEmpty) this.#states.delete(domid);
    }
  }

  #during(uuid: Uuid, from: number, to: number): Iterable<Holding> {
    this.#checkKnown(from);
    return this.#holdings.get(uuid)?.during(from, to) ?? [];
  }

  #checkKnown(step: number): void {
    if (step < this.#knownSince) {
      throw new RangeError(
        `step ${step} is no longer recorded: the history begins at step ${this.#knownSince}`,
      );
    }
  }
}
