/** In dom0: V VMs boot; each way is asked at the same moments, slow ones at fewer of them. */
import { countsBetween, LIST_WAYS, type ListWay, type Measured } from './contestants.ts';
import { type Bench, makeVm, type Service, type Vm } from './host.ts';
import type { BootStorm, OurWay, Work } from './results.ts';
import { add, NO_WORK } from './work.ts';

/** Look-ups of a VM before its introduction, and after. */
export const BEFORE = 10;
export const AFTER = 20;
/** Over the socket fewer are made: under emulation all would last longer than a boot. */
const BY_SOCKET = { before: 1, after: 2 };
/** Of the chunk-1024 list through our binding, one VM in so many. */
const PAGED_EVERY = 8;

interface Sums {
  lookups: Work;
  events: Work;
  /** CPU before an event was asked for. */
  idle: Work;
}

class Others {
  readonly #sums = new Map<string, Sums>();

  lookup(name: string, { work }: Measured): void {
    const sums = this.#of(name);
    sums.lookups = add(sums.lookups, work);
  }

  event(name: string, { work, idleNs }: Measured): void {
    const sums = this.#of(name);
    sums.events = add(sums.events, work);
    sums.idle = add(sums.idle, { ...NO_WORK, count: 1, cpuNs: idleNs });
  }

  get all(): [string, Sums][] {
    return [...this.#sums];
  }

  #of(name: string): Sums {
    const sums = this.#sums.get(name) ?? { lookups: NO_WORK, events: NO_WORK, idle: NO_WORK };
    this.#sums.set(name, sums);
    return sums;
  }
}

function isTurn(way: ListWay, vm: number, vms: number): boolean {
  const every = Math.floor(Math.min(way.every, vms / 10));
  return vm % every === every >> 1;
}

const SLOW_WAYS = Object.values(LIST_WAYS).filter(({ every }) => every > 1);

/** Adds up how long the steps take that a toolstack would take without anybody looking. */
class Boots {
  tookNs = 0;

  async step<T>(step: () => Promise<T>): Promise<T> {
    const began = process.hrtime.bigint();
    const result = await step();
    this.tookNs += Number(process.hrtime.bigint() - began);
    return result;
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

export interface Booted {
  readonly storm: BootStorm;
  readonly vms: readonly Vm[];
}

/** Ours in process beside the lists of others. */
export async function bootStorm(
  { maker, c, inProcess }: Bench,
  count: number,
  progress: (text: string) => void,
): Promise<Booted> {
  const { chunk1024 } = LIST_WAYS;
  const others = new Others();
  const vms: Vm[] = [];
  const boots = new Boots();
  const rests = { c: [] as number[], ours: [] as number[] };
  let lookups = NO_WORK;

  const ours = async ({ uuid, domid }: Vm, times: number): Promise<void> => {
    lookups = add(lookups, (await inProcess.lookup(uuid, domid, times)).work);
  };
  const paged = async ({ name, how }: ListWay, { uuid, domid }: Vm): Promise<void> => {
    others.lookup(`${name}, our binding`, await inProcess.paged(how, uuid, domid));
  };

  const countsBefore = await inProcess.counts();
  const idleBefore = inProcess.idle;
  const began = process.hrtime.bigint();
  for (let number = 0; number < count; number++) {
    // oxlint-disable no-await-in-loop -- a boot takes its steps one after the other, and so do those who watch it
    const vm = await boots.step(() => makeVm(maker));
    const { uuid, domid } = vm;
    vms.push(vm);
    await ours(vm, BEFORE);
    others.lookup(chunk1024.name, await c.lookup(chunk1024.how, uuid, domid));
    // Nothing has happened since: so much is the way here and back, after another process had the processor.
    rests.ours.push((await inProcess.nothing()).idleNs);
    const way = SLOW_WAYS.find((one) => isTurn(one, number, count)) ?? chunk1024;
    await boots.step(() => maker.ask('introduce', domid));
    others.event(way.name, await c.event(way.how));
    await inProcess.events(countsBefore.events + number + 1);
    await boots.step(() => maker.ask('unpause', domid));
    await ours(vm, AFTER);
    others.lookup(way.name, await c.lookup(way.how, uuid, domid));
    if (way !== chunk1024 || number % PAGED_EVERY === 1) await paged(way, vm);
    else rests.c.push((await c.nothing()).idleNs);
    if (vms.length % 50 === 0) progress(`boot storm of ${count}: ${vms.length}`);
    // oxlint-enable no-await-in-loop
  }
  const tookNs = Number(process.hrtime.bigint() - began);
  const idleNs = inProcess.idle.ns - idleBefore.ns;
  const eventsCpuNs = idleNs - (inProcess.idle.requests - idleBefore.requests) * mean(rests.ours);
  const counts = countsBetween(countsBefore, await inProcess.counts());
  const ourWay: OurWay = {
    name: '6: ours, in process',
    lookups,
    eventsCpuNs,
    cpuNs: lookups.cpuNs + eventsCpuNs,
    counts,
  };
  return {
    vms,
    storm: {
      vms: count,
      lookupsAVm: BEFORE + AFTER,
      tookNs,
      bootsNs: boots.tookNs,
      ours: [ourWay],
      others: others.all.map(([name, { lookups: made, events, idle }]) => ({
        name,
        lookups: made,
        ...(events.count > 0 && {
          events,
          readEventCpuNs: Math.max(0, idle.cpuNs / idle.count - mean(rests.c)),
        }),
      })),
    },
  };
}

/** Ours over the socket, with nobody else about. */
export async function serviceStorm(
  { maker, c }: Bench,
  { daemon, client }: Service,
  count: number,
  progress: (text: string) => void,
): Promise<{ way: OurWay; vms: readonly Vm[] }> {
  const vms: Vm[] = [];
  let lookups = NO_WORK;
  let lookupsCpuNs = 0;
  const ours = async ({ uuid, domid }: Vm, times: number): Promise<void> => {
    const before = await c.number('cpu', daemon.pid);
    const { work } = await client.lookup(uuid, domid, times);
    lookupsCpuNs += (await c.number('cpu', daemon.pid)) - before;
    lookups = add(lookups, work);
  };
  const countsBefore = await client.counts();
  const daemonBefore = await c.number('cpu', daemon.pid);
  for (let number = 0; number < count; number++) {
    // oxlint-disable no-await-in-loop
    const vm = await makeVm(maker);
    vms.push(vm);
    await ours(vm, BY_SOCKET.before);
    await maker.ask('introduce', vm.domid);
    await c.tell('drop');
    await maker.ask('unpause', vm.domid);
    await ours(vm, BY_SOCKET.after);
    if (vms.length % 50 === 0) progress(`over the socket, boot storm of ${count}: ${vms.length}`);
    // oxlint-enable no-await-in-loop
  }
  const daemonNs = (await c.number('cpu', daemon.pid)) - daemonBefore;
  return {
    vms,
    way: {
      name: '7: ours, over the socket',
      lookups,
      lookupsDaemonCpuNs: lookupsCpuNs,
      eventsCpuNs: daemonNs - lookupsCpuNs,
      cpuNs: daemonNs + lookups.cpuNs,
      counts: countsBetween(countsBefore, await client.counts()),
    },
  };
}
