/** What every domain of a host was at every step: what an oracle asks to tell a true answer from a false one. */
import type { Domid } from '../domain.ts';
import type { Uuid } from '../uuid.ts';

/** A span of steps: from the step that began it, up to but without the step that ended it. */
export interface Span {
  readonly from: number;
  /** `Infinity` while it lasts. */
  readonly to: number;
}

/** One domain holding one handle, not dying. */
export interface Holding extends Span {
  /** Different for each domain of a host, whatever its domid. */
  readonly incarnation: number;
  readonly domid: Domid;
  readonly uuid: Uuid;
}

/** One domain as a look would have shown it, between two changes. */
export interface DomainState extends Span {
  readonly incarnation: number;
  readonly domid: Domid;
  readonly uuid: Uuid;
  readonly dying: boolean;
  readonly paused: boolean;
  /** The shutdown code, undefined while not shut down. */
  readonly shutdownCode: number | undefined;
}

type Ended<T> = { -readonly [Key in keyof T]: T[Key] };

/** Spans that have ended, in the order of their ends, and those that last. */
class Spans<T extends Span> {
  ended: Ended<T>[] = [];
  readonly lasting: Ended<T>[] = [];

  end(span: Ended<T>, step: number): void {
    span.to = step;
    this.lasting.splice(this.lasting.indexOf(span), 1);
    this.ended.push(span);
  }

  /** Those that share an instant with `from`..`to`, both included. */
  *during(from: number, to: number): Generator<T> {
    for (const span of this.lasting) if (span.from <= to) yield span;
    for (let index = this.ended.length - 1; index >= 0; index--) {
      const span = this.ended[index];
      // Ends are in order: all the others ended earlier still.
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

/** What every domain of a host was, at every step. */
export class HostHistory {
  readonly #holdings = new Map<Uuid, Spans<Holding>>();
  readonly #states = new Map<Domid, Spans<DomainState>>();
  #knownSince = 0;

  /** Steps before this one have been forgotten; questions about them throw. */
  get knownSince(): number {
    return this.#knownSince;
  }

  /** For the host: from `step` on, the domain is as told. Each change has a step of its own, and an end before its domid is another's. */
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

  /** For the host: from `step` on, no look shows the domain. */
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

  /** Did `domid` hold `uuid`, not dying, at one instant of the steps `from`..`to` (both included)? What `found` promises. */
  heldUndyingAtSomeInstant(domid: number, uuid: Uuid, from: number, to: number): boolean {
    for (const holding of this.#during(uuid, from, to)) if (holding.domid === domid) return true;
    return false;
  }

  /** Did one and the same domain hold `uuid`, not dying, through all of `from`..`to`? What `notFound` denies. */
  heldUndyingThroughout(uuid: Uuid, from: number, to: number): boolean {
    return this.holderThroughout(uuid, from, to) !== undefined;
  }

  /** A domain that held `uuid`, not dying, through all of `from`..`to`. */
  holderThroughout(uuid: Uuid, from: number, to: number): Holding | undefined {
    for (const holding of this.#during(uuid, from, to)) {
      if (holding.from <= from && holding.to > to) return holding;
    }
    return undefined;
  }

  /** Everyone who held `uuid`, not dying, at some instant of `from`..`to`, in no order. */
  holdings(uuid: Uuid, from: number, to: number): Holding[] {
    return [...this.#during(uuid, from, to)];
  }

  /** The domain with `domid` as it was at `step`, after what happened at that step. */
  domainAt(domid: number, step: number): DomainState | undefined {
    this.#checkKnown(step);
    return (
      this.#states
        .get(domid as Domid)
        ?.during(step, step)
        .next().value ?? undefined
    );
  }

  /** All domains as they were at `step`, in ascending domid: what a list made in no time would have shown. */
  stateAt(step: number): DomainState[] {
    this.#checkKnown(step);
    const found: DomainState[] = [];
    for (const states of this.#states.values()) {
      for (const state of states.during(step, step)) found.push(state);
    }
    return found.toSorted((one, other) => one.domid - other.domid);
  }

  /** Every state that `domid` was in at some instant of `from`..`to`, oldest first, whichever domains had it. */
  statesOf(domid: number, from: number, to: number): DomainState[] {
    this.#checkKnown(from);
    const states = this.#states.get(domid as Domid)?.during(from, to) ?? [];
    return [...states].toSorted((one, other) => one.from - other.from);
  }

  /** Lets go of all that ended before `step`, so that a long run stays bounded. */
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
      throw new RangeError(`step ${step} is forgotten: the history begins at ${this.#knownSince}`);
    }
  }
}
