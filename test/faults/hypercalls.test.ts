/** Each hypercall of a history fails once, with each errno: what the answers are then, and that all heals. */
import { describe, expect, test } from '@jest/globals';
import { Inventory } from '../../src/inventory/inventory.ts';
import type { LookupResult } from '../../src/inventory/results.ts';
import {
  type HypercallErrno,
  type HypercallKind,
  type Release,
  SimulatedHost,
  SimulatedHypervisor,
} from '../../src/simulator/index.ts';
import { FeedRecord } from '../inventory/feed-record.ts';
import { EFAULT_TIMES, FAILURES } from '../simulator/failures.ts';
import { uuidOf } from '../simulator/helpers.ts';
import { until } from '../xen/until.ts';

/** Those by which Xen says that there is no domain, or none for us to see, are answers where one domain is looked at. */
const ABSENT: readonly HypercallErrno[] = ['ESRCH', 'EACCES'];

interface Fault {
  /** Which of all hypercalls, from 1; 0: none. */
  readonly at: number;
  readonly errno: HypercallErrno;
}

interface Outcome {
  /** Hypercalls made. */
  readonly calls: number;
  /** Of the one that failed. */
  readonly failed: HypercallKind | undefined;
  /** Answers that were not as they are without a fault, a line each. */
  readonly wrong: readonly string[];
  readonly unavailable: readonly string[];
  readonly opened: boolean;
}

/** A short history of a host, and all that an inventory is asked of it. */
async function play(release: Release, { at, errno }: Fault): Promise<Outcome> {
  const host = new SimulatedHost({ release, history: false });
  for (let vm = 1; vm <= 5; vm++) host.createDomain({ uuid: uuidOf(vm) });
  const hypervisor = new SimulatedHypervisor(host);
  let calls = 0;
  let failed: HypercallKind | undefined;
  hypervisor.beforeHypercall = (kind) => {
    calls++;
    if (calls !== at) return;
    failed = kind;
    hypervisor.failNext(kind, errno, errno === 'EFAULT' ? EFAULT_TIMES : 1);
  };
  const wrong: string[] = [];
  const unavailable: string[] = [];
  const outcome = (opened: boolean): Outcome => ({ calls, failed, wrong, unavailable, opened });
  const say = (
    what: string,
    result: { status: string; cause?: string },
    expected: object,
  ): void => {
    if (result.status === 'unavailable') {
      unavailable.push(String(result.cause));
      return;
    }
    try {
      expect(result).toMatchObject(expected);
    } catch {
      wrong.push(`${what}: ${JSON.stringify(result)}`);
    }
  };

  let inventory: Inventory;
  try {
    inventory = await Inventory.open({ hypervisor, xenstore: false, listIntervalMs: 20 });
  } catch {
    await hypervisor.close();
    return outcome(false);
  }
  try {
    const feed = await FeedRecord.of(inventory).catch(() => FeedRecord.of(inventory));
    const ask = async (vm: number, domid?: number): Promise<LookupResult> => {
      const result = await inventory.lookup(uuidOf(vm));
      const expected =
        domid === undefined ? { status: 'notFound' } : { status: 'found', domain: { domid } };
      say(`VM ${vm}`, result, expected);
      return result;
    };
    await ask(3, 3);
    await ask(90);
    await ask(7, host.createDomain({ uuid: uuidOf(7) }));
    const at9 = host.createDomain({ uuid: uuidOf(9), domid: 900 });
    await ask(9, at9);
    host.createDomain({ uuid: uuidOf(10), domid: 1000 });
    host.createDomain({ uuid: uuidOf(10), domid: 1001 });
    say('two of them', await inventory.lookup(uuidOf(10)), { status: 'ambiguous' });
    host.hold(2);
    host.destroy(2);
    await ask(2);
    host.release(2);
    host.destroy(4);
    say('get 4', await inventory.get(4), { status: 'notFound' });
    say('get 3', await inventory.get(3), { status: 'found', domain: { uuid: uuidOf(3) } });
    await inventory.list().then(
      ({ domains }) => {
        const domids = domains.map(({ domid }) => domid);
        say('list', { status: domids.join() }, { status: '0,1,3,5,6,900,1000,1001' });
      },
      (error: { code: string }) => unavailable.push(error.code),
    );
    const made = calls;
    hypervisor.beforeHypercall = undefined;
    hypervisor.clearFaults();

    // It heals: by the slow timer alone.
    const expected = Object.fromEntries(
      [...host.domains()].slice(1).map(({ domid, uuid }) => [domid, uuid]),
    );
    await until(() => JSON.stringify(feed.alive) === JSON.stringify(expected), {
      timeoutMs: 5000,
      what: `after ${errno} at hypercall ${at} the feed has ${JSON.stringify(expected)}`,
    });
    for (const { domid, uuid } of [...host.domains()].slice(1)) {
      if (uuid === uuidOf(10)) continue;
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect(await inventory.lookup(uuid)).toMatchObject({ status: 'found', domain: { domid } });
    }
    return { ...outcome(true), calls: made };
  } finally {
    await inventory.close();
    await hypervisor.close();
  }
}

describe.each(['4.17', '4.22'] as const)('on Xen %s', (release) => {
  test.each(FAILURES)(
    '%s, at whichever hypercall, makes no answer wrong, and is told as unavailable if at all',
    async (errno) => {
      const { calls, wrong } = await play(release, { at: 0, errno });
      expect(wrong).toEqual([]);
      expect(calls).toBeGreaterThan(15);
      let told = 0;
      for (let at = 1; at <= calls; at++) {
        // oxlint-disable-next-line no-await-in-loop -- one history after the other
        const outcome = await play(release, { at, errno });
        expect({ at, wrong: outcome.wrong }).toEqual({ at, wrong: [] });
        if (outcome.failed !== undefined)
          told += outcome.unavailable.length + Number(!outcome.opened);
        for (const cause of outcome.unavailable) expect(cause).toMatch(/^ERR_/);
      }
      expect(told).toBeGreaterThan(5);
    },
    60_000,
  );

  test.each(ABSENT)(
    '%s for a domain that is there heals with the next look',
    async (errno) => {
      const { calls } = await play(release, { at: 0, errno });
      for (let at = 1; at <= calls; at++) {
        // oxlint-disable-next-line no-await-in-loop
        const outcome = await play(release, { at, errno });
        // Of a list it is an error as any other.
        if (outcome.failed === 'sysctl')
          expect({ at, wrong: outcome.wrong }).toEqual({ at, wrong: [] });
      }
    },
    60_000,
  );
});
