/** Fails each hypercall of a history once, with each errno, and checks the answers and the recovery. */
import { describe, expect, test } from '@jest/globals';
import { Inventory } from '../../src/inventory/inventory.ts';
import type { LookupResult } from '../../src/results.ts';
import {
  bootVm,
  type HypercallErrno,
  type HypercallKind,
  type Release,
  SimulatedHost,
  SimulatedHypervisor,
  SimulatedXenstored,
} from '../../src/simulator/index.ts';
import { WatchableXenstore } from '../../src/xenstore/watches.ts';
import { FeedRecord } from '../oracle/feed-record.ts';
import type { WaitState } from '../../src/waiting.ts';
import { EFAULT_TIMES, FAILURES } from '../support/failures.ts';
import { uuidOf } from '../support/vms.ts';
import { until } from '../support/until.ts';

/** Errnos with which Xen says that a domain does not exist, or is not visible to us. For a single look they are answers. */
const ABSENT: readonly HypercallErrno[] = ['ESRCH', 'EACCES'];

interface Fault {
  /** Number of the hypercall that fails, from 1; 0 for none. */
  readonly at: number;
  readonly errno: HypercallErrno;
}

/** The answers of a run. */
class Answers {
  /** Answers that differ from those without a fault, a line each. */
  readonly wrong: string[] = [];
  readonly unavailable: string[] = [];

  take(what: string, result: { status: string; cause?: string }, expected: object): void {
    if (result.status === 'unavailable') {
      this.unavailable.push(String(result.cause));
      return;
    }
    try {
      expect(result).toMatchObject(expected);
    } catch {
      this.wrong.push(`${what}: ${JSON.stringify(result)}`);
    }
  }
}

interface Outcome {
  /** Hypercalls made. */
  readonly calls: number;
  /** Kind of the failed hypercall. */
  readonly failed: HypercallKind | undefined;
  readonly wrong: readonly string[];
  readonly unavailable: readonly string[];
  readonly opened: boolean;
}

/** Plays a short history of a host, with every kind of question to an inventory. */
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
  const answers = new Answers();
  const { wrong, unavailable } = answers;
  const outcome = (opened: boolean): Outcome => ({ calls, failed, wrong, unavailable, opened });

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
      answers.take(`VM ${vm}`, result, expected);
      return result;
    };
    await ask(3, 3);
    await ask(90);
    await ask(7, host.createDomain({ uuid: uuidOf(7) }));
    const at9 = host.createDomain({ uuid: uuidOf(9), domid: 900 });
    await ask(9, at9);
    host.createDomain({ uuid: uuidOf(10), domid: 1000 });
    host.createDomain({ uuid: uuidOf(10), domid: 1001 });
    answers.take('two of them', await inventory.lookup(uuidOf(10)), { status: 'ambiguous' });
    host.hold(2);
    host.destroy(2);
    await ask(2);
    host.release(2);
    host.destroy(4);
    answers.take('get 4', await inventory.get(4), { status: 'notFound' });
    const waitFor = async (vm: number, state: WaitState, expected: object): Promise<void> => {
      const result = await inventory.waitFor(uuidOf(vm), { state });
      answers.take(`wait until VM ${vm} is ${state}`, result, { ...expected, reached: true });
    };
    // A wait outlasts the failure.
    await waitFor(4, 'gone', { status: 'notFound' });
    await waitFor(3, 'present', { status: 'found', domain: { domid: 3 } });
    answers.take('get 3', await inventory.get(3), { status: 'found', domain: { uuid: uuidOf(3) } });
    await inventory.list().then(
      ({ domains }) => {
        const domids = domains.map(({ domid }) => domid);
        answers.take('list', { status: domids.join() }, { status: '0,1,3,5,6,900,1000,1001' });
      },
      (error: { code: string }) => unavailable.push(error.code),
    );
    const made = calls;
    hypervisor.beforeHypercall = undefined;
    hypervisor.clearFaults();

    // Only the slow timer repairs the state.
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

/** A failed list is repeated after a second; on a busy machine later. */
const HEALS_MS = 20_000;
/** Runs at the same time. Each has a host with room for all its domains. */
const AT_ONCE = 20;
const FAR = 900;

interface FollowedOutcome extends Answers {
  readonly calls: number;
  /** The step of the history at the failed hypercall, and the hypercall's kind. */
  readonly failed: string | undefined;
}

/** Plays a history with a xenstored that announces changes. Nothing else causes looks: the play waits for each change. */
async function playFollowed(release: Release, { at, errno }: Fault): Promise<FollowedOutcome> {
  const host = new SimulatedHost({ release, history: false });
  for (let vm = 1; vm <= 5; vm++) host.createDomain({ uuid: uuidOf(vm) });
  const xenstored = await SimulatedXenstored.start(host);
  const hypervisor = new SimulatedHypervisor(host);
  let mayConnect = false;
  const inventory = await Inventory.open({
    hypervisor,
    xenstore: async () => {
      await until(() => mayConnect);
      return WatchableXenstore.open({ socketPath: xenstored.socketPath });
    },
  });
  const answers = new Answers();
  let doing = 'connecting';
  let calls = 0;
  let failed: string | undefined;
  try {
    const feed = await FeedRecord.of(inventory);
    hypervisor.beforeHypercall = (kind) => {
      calls++;
      if (calls !== at) return;
      failed = `${doing}: ${kind}`;
      hypervisor.failNext(kind, errno, errno === 'EFAULT' ? EFAULT_TIMES : 1);
    };
    const told = (domid: number, vm?: number): Promise<unknown> =>
      until(() => feed.alive[domid as never] === (vm && uuidOf(vm)), {
        timeoutMs: HEALS_MS,
        what: `${errno} at hypercall ${at}: ${domid} is published while ${doing}`,
      });
    const ask = async (vm: number, domid?: number): Promise<void> => {
      const expected =
        domid === undefined ? { status: 'notFound' } : { status: 'found', domain: { domid } };
      answers.take(`VM ${vm} while ${doing}`, await inventory.lookup(uuidOf(vm)), expected);
    };

    const unheard = host.createDomain({ uuid: uuidOf(6) });
    mayConnect = true;
    await told(unheard, 6);

    doing = 'a domain comes next';
    await told(bootVm(host, xenstored, { uuid: uuidOf(7) }), 7);

    doing = 'a domain comes elsewhere';
    host.createDomain({ uuid: uuidOf(8), domid: FAR });
    xenstored.introduce(FAR);
    await told(FAR, 8);

    doing = 'another one awaits its introduction';
    await ask(9, host.createDomain({ uuid: uuidOf(9) }));
    host.createDomain({ uuid: uuidOf(10), domid: 2 * FAR });
    xenstored.introduce(2 * FAR);
    await told(2 * FAR, 10);

    doing = 'a domain dies';
    host.hold(FAR);
    host.destroy(FAR);
    await told(FAR);
    doing = 'a zombie goes';
    host.release(FAR);
    await until(() => feed.of(FAR as never).at(-1) === 'destroyed', { timeoutMs: HEALS_MS });

    doing = 'xenstore gives a hint';
    host.createDomain({ uuid: uuidOf(11), domid: 3 * FAR });
    xenstored.write(`/vm/${uuidOf(11)}/domains/${3 * FAR}`, '');
    hypervisor.stallLists();
    setTimeout(() => hypervisor.resumeLists(), 50);
    await ask(11, 3 * FAR);

    hypervisor.beforeHypercall = undefined;
    hypervisor.clearFaults();
    for (const { domid, uuid } of [...host.domains()].slice(1)) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect(await inventory.lookup(uuid)).toMatchObject({ status: 'found', domain: { domid } });
    }
    expect(inventory.counters.changesFoundByTimer).toBe(0);
    return Object.assign(answers, { calls, failed });
  } finally {
    await inventory.close();
    await hypervisor.close();
    await xenstored.close();
  }
}

/** Longer than a look without a stall. */
const SLOW_MS = 2.5;

/** Plays a history with slow hypercalls, so that looks run off the event loop. */
async function playStalled({ at, errno }: Fault): Promise<FollowedOutcome> {
  const host = new SimulatedHost({ release: '4.17', history: false });
  for (let vm = 1; vm <= 5; vm++) host.createDomain({ uuid: uuidOf(vm) });
  const hypervisor = new SimulatedHypervisor(host);
  const inventory = await Inventory.open({ hypervisor, xenstore: false });
  const answers = new Answers();
  let calls = 0;
  let failed: string | undefined;
  try {
    const block = (): void => {
      for (const end = performance.now() + SLOW_MS; performance.now() < end;);
    };
    hypervisor.beforeHypercall = block;
    while (!inventory.counters.stalled) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await inventory.get(1);
    }
    hypervisor.beforeHypercall = (kind) => {
      block();
      calls++;
      if (calls !== at) return;
      failed = `${inventory.counters.stalled ? 'stalled' : 'not stalled'}: ${kind}`;
      hypervisor.failNext(kind, errno, errno === 'EFAULT' ? EFAULT_TIMES : 1);
    };
    const ask = async (vm: number, expected: object): Promise<void> =>
      answers.take(`VM ${vm}`, await inventory.lookup(uuidOf(vm)), expected);
    await ask(3, { status: 'found', domain: { domid: 3 } });
    await ask(90, { status: 'notFound' });
    const domid = host.createDomain({ uuid: uuidOf(6) });
    await ask(6, { status: 'found', domain: { domid } });
    host.createDomain({ uuid: uuidOf(7), domid: FAR });
    host.createDomain({ uuid: uuidOf(7), domid: 2 * FAR });
    await ask(7, { status: 'ambiguous' });
    host.destroy(2);
    await ask(2, { status: 'notFound' });
    answers.take('get 4', await inventory.get(4), { status: 'found' });

    hypervisor.beforeHypercall = undefined;
    hypervisor.clearFaults();
    await ask(1, { status: 'found', domain: { domid: 1 } });
    await ask(6, { status: 'found', domain: { domid } });
    await ask(7, { status: 'ambiguous' });
    await ask(2, { status: 'notFound' });
    return Object.assign(answers, { calls, failed });
  } finally {
    await inventory.close();
    await hypervisor.close();
  }
}

/** Later releases do not stall looks. */
test.each(FAILURES)(
  '%s, at whichever hypercall while looks stall, makes no answer wrong',
  async (errno) => {
    const { calls, wrong, unavailable } = await playStalled({ at: 0, errno });
    expect({ wrong, unavailable }).toEqual({ wrong: [], unavailable: [] });
    const failed = new Set<string | undefined>();
    for (let at = 1; at <= calls; at++) {
      // oxlint-disable-next-line no-await-in-loop -- one history after the other
      const outcome = await playStalled({ at, errno });
      expect({ at, wrong: outcome.wrong }).toEqual({ at, wrong: [] });
      expect(outcome.unavailable.length).toBeLessThan(2);
      for (const cause of outcome.unavailable) expect(cause).toMatch(/^ERR_/);
      failed.add(outcome.failed);
    }
    expect([...failed]).toEqual(expect.arrayContaining(['stalled: one', 'stalled: sysctl']));
  },
  60_000,
);

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
        // For a list, these errnos are errors like any other.
        if (outcome.failed === 'sysctl')
          expect({ at, wrong: outcome.wrong }).toEqual({ at, wrong: [] });
      }
    },
    60_000,
  );

  test('each errno, at whichever hypercall that an event or a hint leads to, hides no change', async () => {
    const { calls, wrong } = await playFollowed(release, { at: 0, errno: 'EIO' });
    expect(wrong).toEqual([]);
    const faults = FAILURES.flatMap((errno) =>
      Array.from({ length: calls }, (_, before) => ({ at: before + 1, errno })),
    );
    // In parallel, because each run waits a second for its retry.
    const outcomes: FollowedOutcome[] = [];
    const worker = async (): Promise<void> => {
      for (let fault = faults.shift(); fault !== undefined; fault = faults.shift())
        outcomes.push(await playFollowed(release, fault));
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    expect(outcomes.flatMap((outcome) => outcome.wrong)).toEqual([]);
    for (const cause of outcomes.flatMap(({ unavailable }) => unavailable))
      expect(cause).toMatch(/^ERR_/);
    expect([...new Set(outcomes.map(({ failed }) => failed))]).toEqual(
      expect.arrayContaining([
        'connecting: sysctl',
        'a domain comes next: domctl',
        'a domain comes elsewhere: domctl',
        'a domain comes elsewhere: sysctl',
        'another one awaits its introduction: sysctl',
        'a domain dies: sysctl',
        'a zombie goes: domctl',
        'xenstore gives a hint: domctl',
      ]),
    );
  }, 60_000);
});
