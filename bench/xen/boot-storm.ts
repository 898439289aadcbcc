/** In dom0: a boot storm, in which each way looks up the same VMs, slow ways fewer of them. */
import { DEFAULT_SOCKET_PATH } from '../../src/client/client.ts';
import { DEFAULT_TABLE_PATH } from '../../src/table/layout.ts';
import {
  countsBetween,
  INVENTORY_TABLE,
  LIST_WAYS,
  type ListWay,
  type Measured,
} from './contestants.ts';
import { type Bench, makeVm, type Service, type Vm } from './host.ts';
import type { BootStorm, OurWay, Work } from './results.ts';
import { IN_NODE, WAY_NAMES } from './way-names.ts';
import { add, NO_WORK } from './work.ts';

/** Look-ups of a VM before and after its introduction. */
const BEFORE = 10;
const AFTER = 20;
/** Over the socket fewer are made: under emulation, all of them would take longer than a boot. */
const BY_SOCKET = { before: 1, after: 2 };
/** One VM in so many is also looked up by a list by 1024 in Node. */
const PAGED_EVERY = 8;
/** The last VMs of a storm, whose look-ups are also added up on their own: one part in so many. */
const LAST_PART = 10;

interface Sums {
  lookups: Work;
  lastLookups: Work;
  events: Work;
  /** CPU before the request for an event. */
  idle: Work;
}

class Others {
  readonly #sums = new Map<string, Sums>();
  isLastPart = false;

  lookup(name: string, { work }: { readonly work: Work }): void {
    const sums = this.#of(name);
    sums.lookups = add(sums.lookups, work);
    if (this.isLastPart) sums.lastLookups = add(sums.lastLookups, work);
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
    const sums = this.#sums.get(name) ?? {
      lookups: NO_WORK,
      lastLookups: NO_WORK,
      events: NO_WORK,
      idle: NO_WORK,
    };
    this.#sums.set(name, sums);
    return sums;
  }
}

function isTurn(way: ListWay, vm: number, vms: number): boolean {
  const every = Math.floor(Math.min(way.every, vms / 10));
  return vm % every === every >> 1;
}

const SLOW_WAYS = Object.values(LIST_WAYS).filter(({ every }) => every > 1);

/** Returns the way that lists in Node for this VM: never the one that lists in C, or the pause would be so long that the storm seems to be over. */
function pagedAt(vm: number, vms: number): ListWay | undefined {
  const slow = SLOW_WAYS.find((way) => isTurn(way, vm - 1, vms));
  return slow ?? (vm % PAGED_EVERY === 1 ? LIST_WAYS.by1024 : undefined);
}

/** Adds up the time of the toolstack's own steps. */
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

/** Measures xen-domid in process and the ways that list, in one storm. */
export async function bootStorm(
  { maker, c, inProcess }: Bench,
  count: number,
  progress: (text: string) => void,
): Promise<Booted> {
  const { by1024 } = LIST_WAYS;
  const others = new Others();
  const vms: Vm[] = [];
  const boots = new Boots();
  const rests: number[] = [];
  let lookups = NO_WORK;
  let eventsCpuNs = 0;

  let firstNs = 0;
  const ours = async ({ uuid, domid }: Vm, times: number): Promise<number> => {
    const measured = await inProcess.lookup(uuid, domid, times);
    lookups = add(lookups, measured.work);
    return measured.firstNs;
  };
  const inC = async ({ uuid, domid }: Vm, times: number): Promise<void> => {
    const measured = await c.byTableAndBare(uuid, domid, times, vms.length);
    for (const [name, work] of measured) others.lookup(name, work);
  };
  const paged = async ({ name, how }: ListWay, { uuid, domid }: Vm): Promise<void> => {
    others.lookup(`${name}${IN_NODE}`, await inProcess.paged(how, uuid, domid));
  };

  await c.openTable(INVENTORY_TABLE);
  const countsBefore = await inProcess.counts();
  const began = process.hrtime.bigint();
  for (let number = 0; number < count; number++) {
    // oxlint-disable no-await-in-loop -- the steps of a boot come one after the other
    const vm = await boots.step(() => makeVm(maker));
    const { uuid, domid } = vm;
    vms.push(vm);
    others.isLastPart = number >= count - count / LAST_PART;
    firstNs += await ours(vm, BEFORE);
    await inC(vm, BEFORE);
    others.lookup(by1024.name, await c.lookup(by1024.how, uuid, domid));
    const way = SLOW_WAYS.find((one) => isTurn(one, number, count)) ?? by1024;
    // Read from outside: a request to the process costs it more than an event.
    const cpuBefore = await c.number('cpu', inProcess.pid);
    await boots.step(() => maker.ask('introduce', domid));
    others.event(way.name, await c.event(way.how));
    let cpuAfter = await c.number('cpu', inProcess.pid);
    // If the event was not answered yet, the cost of this request is counted with it.
    const hadToWait = await inProcess.events(countsBefore.events + number + 1);
    if (hadToWait) cpuAfter = await c.number('cpu', inProcess.pid);
    eventsCpuNs += cpuAfter - cpuBefore;
    await boots.step(() => maker.ask('unpause', domid));
    await ours(vm, AFTER);
    await inC(vm, AFTER);
    others.lookup(way.name, await c.lookup(way.how, uuid, domid));
    const byOurBinding = pagedAt(number, count);
    if (byOurBinding !== undefined) await paged(byOurBinding, vm);
    else rests.push((await c.nothing()).idleNs);
    if (vms.length % 50 === 0) progress(`boot storm of ${count}: ${vms.length}`);
    // oxlint-enable no-await-in-loop
  }
  const tookNs = Number(process.hrtime.bigint() - began);
  const counts = countsBetween(countsBefore, await inProcess.counts());
  // Lists may run later, outside the steps above; the whole time of each is counted as CPU.
  eventsCpuNs += counts.listMs * 1e6;
  const ourWay: OurWay = {
    name: WAY_NAMES.inProcess,
    lookups,
    firstNs,
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
      others: others.all.map(([name, { lookups: made, lastLookups, events, idle }]) => ({
        name,
        lookups: made,
        lastLookups,
        ...(events.count > 0 && {
          events,
          readEventCpuNs: Math.max(0, idle.cpuNs / idle.count - mean(rests)),
        }),
      })),
    },
  };
}

type Progress = (text: string) => void;

/** Boots VMs that only one of our ways looks up. @returns the daemon's CPU and counts meanwhile. */
async function ownStorm(
  { maker, c }: Bench,
  { daemon, client }: Service,
  count: number,
  look: { readonly before: (vm: Vm) => Promise<void>; readonly after: (vm: Vm) => Promise<void> },
  progress: Progress,
): Promise<{ daemonNs: number; counts: OurWay['counts'] }> {
  const countsBefore = await client.counts();
  const daemonBefore = await c.number('cpu', daemon.pid);
  for (let number = 1; number <= count; number++) {
    // oxlint-disable no-await-in-loop
    const vm = await makeVm(maker);
    await look.before(vm);
    await maker.ask('introduce', vm.domid);
    await c.tell('drop');
    await maker.ask('unpause', vm.domid);
    await look.after(vm);
    if (number % 50 === 0) progress(`boot storm of ${count}: ${number}`);
    // oxlint-enable no-await-in-loop
  }
  const daemonNs = (await c.number('cpu', daemon.pid)) - daemonBefore;
  return { daemonNs, counts: countsBetween(countsBefore, await client.counts()) };
}

/** Measures xen-domid over the socket, in a storm without the other ways. */
export async function serviceStorm(
  bench: Bench,
  service: Service,
  count: number,
  progress: Progress,
): Promise<OurWay> {
  const { c } = bench;
  const { daemon, client } = service;
  let lookups = NO_WORK;
  let lookupsDaemonCpuNs = 0;
  const ours = async ({ uuid, domid }: Vm, times: number): Promise<void> => {
    const before = await c.number('cpu', daemon.pid);
    const { work } = await client.lookup(uuid, domid, times);
    lookupsDaemonCpuNs += (await c.number('cpu', daemon.pid)) - before;
    lookups = add(lookups, work);
  };
  const look = {
    before: (vm: Vm) => ours(vm, BY_SOCKET.before),
    after: (vm: Vm) => ours(vm, BY_SOCKET.after),
  };
  const { daemonNs, counts } = await ownStorm(bench, service, count, look, (text) =>
    progress(`over the socket, ${text}`),
  );
  const eventsCpuNs = daemonNs - lookupsDaemonCpuNs;
  const cpuNs = daemonNs + lookups.cpuNs;
  return { name: WAY_NAMES.overSocket, lookups, lookupsDaemonCpuNs, eventsCpuNs, cpuNs, counts };
}

/**
 * Measures a C program that reads the service's table, in a storm without the other ways. It follows no events, so that
 * the table does not have a new VM, and its first look-up goes over the socket.
 */
export async function tableStorm(
  bench: Bench,
  service: Service,
  count: number,
  progress: Progress,
): Promise<OurWay> {
  let lookups = NO_WORK;
  let firstNs = 0;
  const ours = async ({ uuid, domid }: Vm, times: number): Promise<number> => {
    const { work } = await bench.c.byTable(uuid, domid, times);
    lookups = add(lookups, work);
    return work.wallNs;
  };
  await bench.c.openTable(DEFAULT_TABLE_PATH, DEFAULT_SOCKET_PATH);
  const look = {
    before: async (vm: Vm) => {
      firstNs += await ours(vm, 1);
      await ours(vm, BEFORE - 1);
    },
    after: async (vm: Vm) => void (await ours(vm, AFTER)),
  };
  const { daemonNs, counts } = await ownStorm(bench, service, count, look, (text) =>
    progress(`by the table, ${text}`),
  );
  const cpuNs = daemonNs + lookups.cpuNs;
  return { name: WAY_NAMES.tableOrSocket, lookups, firstNs, eventsCpuNs: daemonNs, cpuNs, counts };
}
