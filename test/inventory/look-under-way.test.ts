/** A look off the event loop may be delivered late: questions and results since its start are newer. */
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Dominfo } from '../../src/hypervisor/dominfo.ts';
import { Inventory } from '../../src/inventory/inventory.ts';
import { SimulatedHost, SimulatedHypervisor } from '../../src/simulator/index.ts';
import { uuidOf } from '../support/vms.ts';

/** Each look on the event loop takes 3 ms: after two, looks run off it for 100 ms of fake time. */
class Slow extends SimulatedHypervisor {
  override getDomainInfo(domid: number): Dominfo | undefined {
    jest.advanceTimersByTime(3);
    return super.getDomainInfo(domid);
  }
}

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['queueMicrotask', 'nextTick', 'setImmediate'] });
});
afterEach(() => {
  jest.useRealTimers();
});

/** Returns a stalled hypervisor that makes looks at once and delivers them many turns later. */
async function stalled(host: SimulatedHost): Promise<{ hypervisor: Slow; inventory: Inventory }> {
  const hypervisor = new Slow(host);
  const inventory = await Inventory.open({ hypervisor, xenstore: false });
  // oxlint-disable-next-line no-await-in-loop -- one off the event loop that is fast ends a stall
  while (!inventory.counters.stalled) await inventory.get(0);
  Object.assign(hypervisor, { asyncLookTurns: 0, asyncAnswerTurns: 50 });
  return { hypervisor, inventory };
}

async function untilLooked({ counters }: Slow, looks: number): Promise<void> {
  // oxlint-disable-next-line no-await-in-loop
  while (counters.domctl === looks) await nextTurn();
}

test('a domain that was gone before the question is no answer, though a look that saw it is told of later', async () => {
  const host = new SimulatedHost();
  const { hypervisor, inventory } = await stalled(host);
  const domid = host.createDomain({ uuid: uuidOf(1), domid: 40 });
  const looks = hypervisor.counters.domctl;
  const look = inventory.get(domid);
  await untilLooked(hypervisor, looks);
  host.destroy(domid);
  const answer = inventory.lookup(uuidOf(1));
  expect(await look).toMatchObject({ status: 'found', domain: { domid } });
  expect(await answer).toEqual({ status: 'notFound' });
  await inventory.close();
  await hypervisor.close();
});

test('a domain whose end a list has shown does not come back by a look that was made before', async () => {
  const host = new SimulatedHost();
  const domid = host.createDomain({ uuid: uuidOf(1), domid: 40 });
  const { hypervisor, inventory } = await stalled(host);
  const kinds: string[] = [];
  inventory.changes$.subscribe(({ kind }) => kinds.push(kind));
  const looks = hypervisor.counters.domctl;
  const look = inventory.get(domid);
  await untilLooked(hypervisor, looks);
  host.destroy(domid);
  await inventory.list();
  expect(kinds).toEqual(['destroyed']);
  expect(await look).toEqual({ status: 'notFound' });
  expect(kinds).toEqual(['destroyed']);
  await inventory.close();
  await hypervisor.close();
});
