/** In dom0: a host on which each second a VM starts, one ends, and a UUID is looked up that no domain has. */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';

import { until } from '../../test/lab/dom0.ts';
import { type Agent, LIST_WAYS, NOBODY, type OthersInC } from './contestants.ts';
import { type Bench, makeVm, type Service, type Vm } from './host.ts';
import type { Spread, SteadyState, Work } from './results.ts';
import { WAY_NAMES } from './way-names.ts';
import { add, NO_WORK, spread } from './work.ts';

const ROUNDS = 12;
const ROUND_MS = 1000;
const HALF_ROUND_MS = 450;
/** Slow ways are measured in one round of so many. */
const SLOW_EVERY = 4;

/** Returns the time of the first change of a domain. */
function changeOf(agent: Agent, domid: number): Promise<number> {
  return until(async () => (await agent.changes()).find((change) => change.domid === domid)?.atNs, {
    what: `the change of domain ${domid}`,
  });
}

/** Returns the delay between the event that `change` causes and its report to a subscriber in another process. */
async function latency(
  c: OthersInC,
  client: Agent,
  domid: number,
  change: () => Promise<unknown>,
): Promise<number> {
  await c.tell('drop');
  await client.changes();
  const event = c.number('moment');
  await change();
  const eventNs = await event;
  // A request now would take the processor from the processes under measurement.
  await pause(HALF_ROUND_MS);
  return (await changeOf(client, domid)) - eventNs;
}

export async function steadyState(
  { maker, c, inProcess }: Bench,
  { daemon, client }: Service,
  domains: number,
): Promise<{ steady: SteadyState; quiet: { created: Spread; destroyed: Spread } }> {
  const created: number[] = [];
  const destroyed: number[] = [];
  const unknown = new Map<string, Work>();
  const ask = (name: string, work: Work): void => {
    unknown.set(name, add(unknown.get(name) ?? NO_WORK, work));
  };
  let daemonNs = 0;
  let seconds = 0;
  for (let round = 0; round < ROUNDS; round++) {
    // oxlint-disable no-await-in-loop -- one second after the other
    const began = performance.now();
    const cpuBefore = await c.number('cpu', daemon.pid);
    const vm: Vm = await makeVm(maker);
    created.push(await latency(c, client, vm.domid, () => maker.ask('introduce', vm.domid)));
    await maker.ask('unpause', vm.domid);
    destroyed.push(await latency(c, client, vm.domid, () => maker.ask('destroy', vm.domid)));
    const nobody = randomUUID();
    ask(WAY_NAMES.overSocket, (await client.lookup(nobody, NOBODY, 1)).work);
    await pause(Math.max(0, began + ROUND_MS - performance.now()));
    daemonNs += (await c.number('cpu', daemon.pid)) - cpuBefore;
    seconds += (performance.now() - began) / 1000;
    ask(WAY_NAMES.inProcess, (await inProcess.lookup(nobody, NOBODY, 1)).work);
    for (const { name, how, every } of Object.values(LIST_WAYS)) {
      if (every === 1 || round % SLOW_EVERY === 0)
        ask(name, (await c.lookup(how, nobody, NOBODY)).work);
    }
    // oxlint-enable no-await-in-loop
  }
  return {
    quiet: { created: spread(created), destroyed: spread(destroyed) },
    steady: {
      domains,
      rounds: ROUNDS,
      seconds,
      daemonCpuNs: daemonNs,
      unknown: [...unknown].map(([name, work]) => ({ name, work })),
    },
  };
}
