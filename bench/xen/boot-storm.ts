/** In dom0: V VMs boot; each way is asked at the same moments, slow ones at fewer of them. */
import { type Agent, countsBetween, LIST_WAYS, type ListWay, type Measured } from './contestants.ts';
import { type Bench, makeVm, type Vm } from './host.ts';
import type { BootStorm, Counts, OurWay, Work } from './results.ts';
import { add, NO_WORK } from './work.ts';

const BEFORE = 10;
const AFTER = 20;

interface Sums {
  lookups: Work;
  events: Work;
  /** CPU before an event was asked for, and before anything else was. */
  eventIdle: Work;
}

class Others {
  readonly #sums = new Map<string, Sums>();

  sums(name: string): Sums {
    const sums = this.#sums.get(name) ?? { lookups: NO_WORK, events: NO_WORK, eventIdle: NO_WORK };
    this.#sums.set(name, sums);
    return sums;
  }

  lookup(name: string, { work }: Measured): void {
    const sums = this.sums(name);
    sums.lookups = add(sums.lookups, work);
  }

  event(name: string, { work, idleNs }: Measured): void {
    const sums = this.sums(name);
    sums.events = add(sums.events, work);
    sums.eventIdle = add(sums.eventIdle, { ...NO_WORK, count: 1, cpuNs: idleNs });
  }

  entries(): [string, Sums][] {
    return [...this.#sums];
  }
}

interface OurSums {
  lookups: Work;
  daemonNs: number;
  idleNs: number;
  requests: number;
}

function isTurn(way: ListWay, vm: number, vms: number): boolean {
  const every = Math.floor(Math.min(way.every, vms / 10));
  return vm % every === every >> 1;
}

export async function bootStorm(
  bench: Bench,
  vms: number,
  progress: (text: string) => void,
): Promise<{ storm: BootStorm; booted: Vm[] }> {
  const { maker, c, daemon, inProcess, client } = bench;
  const others = new Others();
  const booted: Vm[] = [];
  const inProcessSums: OurSums = { lookups: NO_WORK, daemonNs: 0, idleNs: 0, requests: 0 };
  const clientSums: OurSums = { lookups: NO_WORK, daemonNs: 0, idleNs: 0, requests: 0 };
  const nothing: number[] = [];
  let bootsNs = 0;

  const boots = async <T>(step: () => Promise<T>): Promise<T> => {
    const began = process.hrtime.bigint();
    const result = await step();
    bootsNs += Number(process.hrtime.bigint() - began);
    return result;
  };
  const ours = async ({ uuid, domid }: Vm, times: number): Promise<void> => {
    const own = await inProcess.lookup(uuid, domid, times);
    inProcessSums.lookups = add(inProcessSums.lookups, own.work);
    inProcessSums.idleNs += own.idleNs;
    inProcessSums.requests++;
    const before = await c.number('cpu', daemon.pid);
    const asked = await client.lookup(uuid, domid, times);
    clientSums.daemonNs += (await c.number('cpu', daemon.pid)) - before;
    clientSums.lookups = add(clientSums.lookups, asked.work);
  };

  const countsBefore: [Counts, Counts] = [await inProcess.counts(), await client.counts()];
  const daemonBefore = await c.number('cpu', daemon.pid);
  const ownBefore = await c.number('cpu', inProcess.pid);
  const began = process.hrtime.bigint();
  for (let number = 0; number < vms; number++) {
    // oxlint-disable no-await-in-loop -- a boot takes its steps one after the other, and so do those who watch it
    const vm = await boots(() => makeVm(maker));
    booted.push(vm);
    await ours(vm, BEFORE);
    const way = Object.values<ListWay>(LIST_WAYS).find(
      (one) => one.every > 1 && isTurn(one, number, vms),
    );
    const { chunk1024 } = LIST_WAYS;
    others.lookup(chunk1024.name, await c.lookup(chunk1024.how, vm.uuid, vm.domid));
    await boots(() => maker.ask('introduce', vm.domid));
    if (way === undefined) others.event(chunk1024.name, await c.event(chunk1024.how));
    else others.event(way.name, await c.event(way.how));
    await inProcess.events(countsBefore[0].events + number + 1);
    inProcessSums.requests++;
    await boots(() => maker.ask('unpause', vm.domid));
    await ours(vm, AFTER);
    others.lookup(chunk1024.name, await c.lookup(chunk1024.how, vm.uuid, vm.domid));
    if (way !== undefined) {
      others.lookup(way.name, await c.lookup(way.how, vm.uuid, vm.domid));
      others.lookup(`${way.name}, our binding`, await inProcess.paged(way.how, vm.uuid, vm.domid));
      inProcessSums.requests++;
    } else if (number % 8 === 1) {
      const name = `${chunk1024.name}, our binding`;
      others.lookup(name, await inProcess.paged(chunk1024.how, vm.uuid, vm.domid));
      inProcessSums.requests++;
    } else if (number % 8 === 3) nothing.push((await c.nothing()).idleNs);
    if ((number + 1) % 50 === 0) progress(`boot storm of ${vms}: ${number + 1}`);
    // oxlint-enable no-await-in-loop
  }
  const tookNs = Number(process.hrtime.bigint() - began);
  const ownNs = (await c.number('cpu', inProcess.pid)) - ownBefore;
  const daemonNs = (await c.number('cpu', daemon.pid)) - daemonBefore;
  const counts = await Promise.all(
    [inProcess, client].map(async (agent: Agent, index) =>
      countsBetween(countsBefore[index] as Counts, await agent.counts()),
    ),
  );
  const pagedNs = others
    .entries()
    .filter(([name]) => name.endsWith('our binding'))
    .reduce((sum, [, { lookups }]) => sum + lookups.cpuNs, 0);
  const ownCpuNs = ownNs - pagedNs - inProcessSums.requests * bench.requestCpuNs;
  const ourWays: OurWay[] = [
    {
      name: '6: ours, in process',
      lookups: inProcessSums.lookups,
      eventsCpuNs: ownCpuNs - inProcessSums.lookups.cpuNs,
      cpuNs: ownCpuNs,
      counts: counts[0] as Counts,
    },
    {
      name: '7: ours, over the socket',
      lookups: clientSums.lookups,
      eventsCpuNs: daemonNs - clientSums.daemonNs,
      cpuNs: daemonNs + clientSums.lookups.cpuNs,
      counts: counts[1] as Counts,
    },
  ];
  const restNs = nothing.reduce((sum, ns) => sum + ns, 0) / nothing.length;
  return {
    booted,
    storm: {
      vms,
      lookupsAVm: BEFORE + AFTER,
      tookNs,
      bootsNs,
      ours: ourWays,
      others: others.entries().map(([name, { lookups, events, eventIdle }]) => ({
        name,
        lookups,
        ...(events.count > 0 && {
          events,
          readEventCpuNs: Math.max(0, eventIdle.cpuNs / eventIdle.count - restNs),
        }),
      })),
    },
  };
}
