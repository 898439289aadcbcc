import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { SimulatedHost, type DomainState, type HostHistory } from '../../src/simulator/index.ts';
import type { Uuid } from '../../src/uuid.ts';
import { hostActs, performAct } from './host-acts.ts';
import { RELEASES, torn, uuidOf } from '../support/vms.ts';

function historyOf(host: SimulatedHost): HostHistory {
  if (host.history === undefined) throw new Error('this host keeps no history');
  return host.history;
}

describe('what the history says', () => {
  test('a domain holds its UUID from the step of its creation to the one of its death', () => {
    const host = new SimulatedHost({ release: '4.22' });
    const history = historyOf(host);
    const before = host.now;
    const domid = host.createDomain({ uuid: uuidOf(1) });
    const created = host.now;
    host.beginTeardown(domid);
    const torndown = host.now;
    host.die(domid);
    const dead = host.now;
    expect(history.heldUndyingAtSomeInstant(domid, uuidOf(1), before, before)).toBe(false);
    expect(history.heldUndyingAtSomeInstant(domid, uuidOf(1), before, created)).toBe(true);
    expect(history.heldUndyingAtSomeInstant(domid, uuidOf(1), torndown, torndown)).toBe(true);
    expect(history.heldUndyingAtSomeInstant(domid, uuidOf(1), dead, dead + 9)).toBe(false);
    expect(history.heldUndyingThroughout(uuidOf(1), created, torndown)).toBe(true);
    expect(history.heldUndyingThroughout(uuidOf(1), created, dead)).toBe(false);
    expect(history.heldUndyingThroughout(uuidOf(1), before, torndown)).toBe(false);
  });

  test('pause, shutdown and resume do not interrupt a holding', () => {
    const host = new SimulatedHost({ release: '4.22' });
    const domid = host.createDomain({ uuid: uuidOf(1) });
    const from = host.now;
    host.unpause(domid);
    host.shutdown(domid, 2);
    host.resume(domid);
    host.pause(domid);
    expect(historyOf(host).heldUndyingThroughout(uuidOf(1), from, host.now)).toBe(true);
    expect(historyOf(host).holdings(uuidOf(1), 0, host.now)).toHaveLength(1);
  });

  test('two domains that hold it one after the other are no one that held it throughout', () => {
    const host = new SimulatedHost({ release: '4.22' });
    const first = host.createDomain({ uuid: uuidOf(1) });
    const from = host.now;
    host.createDomain({ uuid: uuidOf(1) });
    host.destroy(first);
    const history = historyOf(host);
    expect(history.heldUndyingThroughout(uuidOf(1), from, host.now)).toBe(false);
    expect(history.holdings(uuidOf(1), from, host.now)).toHaveLength(2);
    expect(history.holdings(uuidOf(1), host.now, host.now)).toHaveLength(1);
  });

  test('the same domid is another incarnation when another domain has it', () => {
    const host = new SimulatedHost({ release: '4.22' });
    host.destroy(host.createDomain({ domid: 5, uuid: uuidOf(1) }));
    host.createDomain({ domid: 5, uuid: uuidOf(1) });
    const states = historyOf(host).statesOf(5, 0, host.now);
    expect(new Set(states.map(({ incarnation }) => incarnation)).size).toBe(2);
  });

  test('a torn handle is a handle for as long as it stands', () => {
    const host = new SimulatedHost({ release: '4.22' });
    const domid = host.createDomain({ uuid: uuidOf(1) });
    const write = host.beginSetHandle(domid, uuidOf(2));
    const midway = host.now;
    write.finish();
    const history = historyOf(host);
    expect(history.domainAt(domid, midway)?.uuid).toBe(torn(uuidOf(1), uuidOf(2)));
    expect(history.domainAt(domid, midway - 1)?.uuid).toBe(uuidOf(1));
    expect(history.domainAt(domid, host.now)?.uuid).toBe(uuidOf(2));
  });

  test('what was forgotten cannot be asked about, what lasts is kept', () => {
    const host = new SimulatedHost({ release: '4.22' });
    const domid = host.createDomain({ uuid: uuidOf(1) });
    host.destroy(host.createDomain({ uuid: uuidOf(2) }));
    const history = historyOf(host);
    history.forgetBefore(host.now);
    expect(() => history.heldUndyingThroughout(uuidOf(1), 1, host.now)).toThrow(RangeError);
    expect(history.heldUndyingThroughout(uuidOf(1), host.now, host.now)).toBe(true);
    expect(history.holdings(uuidOf(2), host.now, host.now)).toEqual([]);
    expect(history.stateAt(host.now).map((state) => state.domid)).toEqual([0, domid]);
  });

  test('a host may keep none', () => {
    expect(new SimulatedHost({ history: false }).history).toBeUndefined();
  });
});

describe('the history against every step written down', () => {
  const seed = Number(process.env['SEED'] ?? Math.trunc(Math.random() * 2 ** 31));

  /** The result of an instantaneous list after each step of the host, by brute force. */
  class Chronicle {
    readonly shown: DomainState[][] = [];
    readonly #host: SimulatedHost;

    constructor(host: SimulatedHost) {
      this.#host = host;
    }

    write(): void {
      const shown = [...this.#host.domains()].map((domain) => ({
        incarnation: domain.incarnation,
        domid: domain.domid,
        uuid: domain.uuid,
        dying: domain.stage === 'dead',
        paused: domain.paused,
        shutdownCode: domain.shutdownCode,
        from: 0,
        to: 0,
      }));
      this.shown[this.#host.now] = shown;
    }

    holders(uuid: Uuid, step: number): DomainState[] {
      return (this.shown[step] ?? []).filter((state) => state.uuid === uuid && !state.dying);
    }
  }

  const run = fc.record({
    release: fc.constantFrom(...RELEASES),
    acts: fc.array(hostActs, { maxLength: 60 }),
    from: fc.nat(),
    length: fc.nat({ max: 30 }),
    vm: fc.integer({ min: 0, max: 4 }),
  });

  test(`every question has the answer that counting gives (seed ${seed})`, () => {
    fc.assert(
      fc.property(run, ({ release, acts, from, length, vm }) => {
        const host = new SimulatedHost({ release });
        const history = historyOf(host);
        const chronicle = new Chronicle(host);
        const written: number[] = [];
        const write = (): void => {
          chronicle.write();
          if (written.at(-1) !== host.now) written.push(host.now);
        };
        write();
        for (const act of acts) performAct(host, act, write);
        const first = from % written.length;
        const span = written.slice(first, first + length + 1);
        const begin = span[0] ?? host.now;
        const end = span.at(-1) ?? host.now;
        for (const step of span) {
          const want = (chronicle.shown[step] ?? []).map((state) => ({ ...state, from: 0, to: 0 }));
          const got = history.stateAt(step).map((state) => ({ ...state, from: 0, to: 0 }));
          expect(got).toEqual(want);
        }
        const uuid = uuidOf(vm);
        const throughout = chronicle
          .holders(uuid, begin)
          .some(({ incarnation }) =>
            span.every((step) =>
              chronicle.holders(uuid, step).some((holder) => holder.incarnation === incarnation),
            ),
          );
        const held = history.holdings(uuid, begin, end);
        const holders = span.flatMap((step) => chronicle.holders(uuid, step));
        expect(new Set(held.map(({ incarnation }) => incarnation))).toEqual(
          new Set(holders.map(({ incarnation }) => incarnation)),
        );
        expect(history.heldUndyingThroughout(uuid, begin, end)).toBe(throughout);
        for (let domid = 0; domid < 8; domid++) {
          const seen = span.some((step) =>
            chronicle.holders(uuid, step).some((holder) => holder.domid === domid),
          );
          expect(history.heldUndyingAtSomeInstant(domid, uuid, begin, end)).toBe(seen);
        }
      }),
      { seed, numRuns: 500 },
    );
  });
});
