/** Odd loads on a simulated host: what each costs in CPU time, and how long it holds the event loop. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CallOptions, LookupResult } from '../src/results.ts';
import { Inventory, type InventoryOptions } from '../src/inventory/inventory.ts';
import {
  bootVm,
  type Release,
  SimulatedHost,
  SimulatedHypervisor,
  SimulatedXenstored,
} from '../src/simulator/index.ts';
import { parseUuid, type Uuid } from '../src/uuid.ts';
import { WatchableXenstore } from '../src/xenstore/watches.ts';
import { summarise } from './statistics.ts';
import { printTable } from './table.ts';

const MANY = 32_000;
/** Lists made one after the other: the first is slower, because V8 has not compiled their code yet. */
const LISTS = 12;

interface OddFigures {
  readonly load: string;
  readonly cpuMs: number;
  /** The longest time without a turn of the event loop, ms. */
  readonly heldMs: number;
  /** Further figures by which the load is judged. */
  readonly counts: string;
}

const uuidOf = (n: number): Uuid =>
  parseUuid(
    `6d4f1a5e-0b7c-4c4e-9d2a-${n.toString(16).padStart(12, '0')}`.replace(
      /^......../,
      n.toString(16).padStart(8, '7'),
    ),
  );

/** CPU time of this process and the longest turn while `run` runs. */
async function measure(load: string, run: () => Promise<string>): Promise<OddFigures> {
  let heldMs = 0;
  let last = performance.now();
  let over = false;
  const tick = (): void => {
    const now = performance.now();
    heldMs = Math.max(heldMs, now - last);
    last = now;
    if (!over) setImmediate(tick);
  };
  setImmediate(tick);
  await new Promise((resolve) => setImmediate(resolve));
  const before = process.cpuUsage();
  const counts = await run();
  const { user, system } = process.cpuUsage(before);
  await new Promise((resolve) => setImmediate(resolve));
  over = true;
  return { load, cpuMs: (user + system) / 1000, heldMs, counts };
}

/** The same without a timer that counts turns: such a timer costs CPU time itself. */
async function measureWaiting(load: string, run: () => Promise<string>): Promise<OddFigures> {
  const before = process.cpuUsage();
  const counts = await run();
  const { user, system } = process.cpuUsage(before);
  return { load, cpuMs: (user + system) / 1000, heldMs: NaN, counts };
}

interface Host {
  readonly host: SimulatedHost;
  readonly hypervisor: SimulatedHypervisor;
}

function hostWith(vms: number, release: Release = '4.20'): Host {
  const host = new SimulatedHost({ release, history: false });
  const hypervisor = new SimulatedHypervisor(host);
  for (let vm = 1; vm <= vms; vm++) host.createDomain({ uuid: uuidOf(vm) });
  return { host, hypervisor };
}

const opened = ({ hypervisor }: Host, options: InventoryOptions = {}): Promise<Inventory> =>
  Inventory.open({ hypervisor, xenstore: false, ...options });

const found = (results: readonly LookupResult[]): string =>
  `${results.filter(({ status }) => status === 'found').length} found`;

async function openAndList(release: Release): Promise<OddFigures[]> {
  const host = hostWith(MANY, release);
  let inventory: Inventory | undefined;
  const open = await measure(`open with ${MANY} domains, ${release}`, async () => {
    inventory = await opened(host);
    return `${host.hypervisor.counters.state} reads of unique ids`;
  });
  // The unique ids of the first list are read in the background.
  await sleep(3000);
  const lists: OddFigures[] = [];
  for (let each = 0; each < LISTS; each++) {
    lists.push(
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await measure(`first list() of ${MANY} domains, ${release}`, async () => {
        const { domains } = (await inventory?.list()) ?? { domains: [] };
        return `${domains.length} domains`;
      }),
    );
  }
  await inventory?.close();
  const [first, ...others] = lists as [OddFigures, ...OddFigures[]];
  const later = {
    load: `later list(), median of ${others.length}, ${release}`,
    cpuMs: summarise(others.map(({ cpuMs }) => cpuMs)).median,
    heldMs: summarise(others.map(({ heldMs }) => heldMs)).median,
    counts: first.counts,
  };
  return [open, first, later];
}

async function slowReaders(): Promise<OddFigures> {
  const host = hostWith(1);
  const inventory = await opened(host);
  const readers = Array.from({ length: 100 }, () => inventory.subscribe());
  await Promise.all(readers.map((reader) => reader.next()));
  for (let change = 0; change < 8000; change++) {
    if (change % 2 === 1) host.host.resume(1);
    else host.host.shutdown(1, 0);
    // oxlint-disable-next-line no-await-in-loop -- one change after the other
    await inventory.get(1);
  }
  const figures = await measure('8000 changes of one VM, 100 slow readers', async () => {
    const batches = await Promise.all(readers.map((reader) => reader.next()));
    return `${batches.length} batches`;
  });
  await inventory.close();
  return figures;
}

async function allDie(): Promise<OddFigures[]> {
  const figures: OddFigures[] = [];
  for (const dies of [false, true]) {
    const host = hostWith(MANY);
    // oxlint-disable no-await-in-loop -- one load after the other
    const inventory = await opened(host);
    for (let domid = 1; domid <= MANY; domid++) {
      if (!dies) host.host.shutdown(domid, 0);
      else {
        host.host.hold(domid);
        host.host.destroy(domid);
      }
    }
    await sleep(500);
    const load = `${MANY} VMs ${dies ? 'turn zombies' : 'shut down'} in one list`;
    figures.push(
      await measure(load, async () => `${(await inventory.list()).domains.length} domains`),
    );
    await inventory.close();
    // oxlint-enable no-await-in-loop
  }
  return figures;
}

async function zombies(): Promise<OddFigures> {
  const host = hostWith(10_000);
  const inventory = await opened(host);
  for (let domid = 1; domid <= 10_000; domid++) {
    host.host.hold(domid);
    host.host.destroy(domid);
  }
  await inventory.list();
  const before = inventory.counters.hypercalls;
  const figures = await measureWaiting('10,000 zombies, 10 s', async () => {
    await sleep(10_000);
    const { single, list } = inventory.counters.hypercalls;
    return `${single - before.single} looks, ${list - before.list} lists`;
  });
  await inventory.close();
  return figures;
}

async function smallCache(): Promise<OddFigures> {
  const host = hostWith(MANY);
  const inventory = await opened(host, { maxUuids: 1000 });
  const uuids = Array.from({ length: 10_000 }, (_, index) => uuidOf(index + 1));
  const figures = await measure(`10,000 of ${MANY} with a cache of 1000`, async () =>
    found(await inventory.lookupMany(uuids)),
  );
  await inventory.close();
  return figures;
}

async function pollers(): Promise<OddFigures> {
  const { host, hypervisor } = hostWith(0);
  const xenstored = await SimulatedXenstored.start(host);
  for (let vm = 1; vm <= 50; vm++) bootVm(host, xenstored, { uuid: uuidOf(vm), flavour: 'libxl' });
  const inventory = await Inventory.open({
    hypervisor,
    xenstore: () => WatchableXenstore.open({ socketPath: xenstored.socketPath }),
  });
  while (inventory.xenstore === undefined) {
    // oxlint-disable-next-line no-await-in-loop
    await sleep(10);
  }
  const unknown = uuidOf(999_999);
  const options: CallOptions = {};
  const figures = await measureWaiting('10 pollers of an unknown UUID, 5 s', async () => {
    const ends = performance.now() + 5000;
    const poll = async (): Promise<void> => {
      // oxlint-disable-next-line no-await-in-loop -- a poller asks again once it has its answer
      while (performance.now() < ends) await inventory.lookup(unknown, options);
    };
    await Promise.all(Array.from({ length: 10 }, poll));
    const { hints, lists } = inventory.counters;
    return `${hints} requests to xenstored, ${lists.miss} lists`;
  });
  await inventory.close();
  await xenstored.close();
  return figures;
}

async function wrappedMiss(): Promise<OddFigures> {
  const host = new SimulatedHost({ release: '4.20', history: false, rover: 800 });
  const hypervisor = new SimulatedHypervisor(host);
  for (let vm = 1; vm <= MANY; vm++) host.createDomain({ uuid: uuidOf(vm) });
  const inventory = await opened({ host, hypervisor });
  await sleep(500);
  const figures = await measure(`a miss with wrapped domids, ${MANY} domains`, async () => {
    const single = inventory.counters.hypercalls.single;
    const { status } = await inventory.lookup(uuidOf(999_999));
    return `${status}, ${inventory.counters.hypercalls.single - single} looks`;
  });
  await inventory.close();
  return figures;
}

printTable(
  'Odd loads on a simulated host',
  [
    ...(await openAndList('4.20')),
    ...(await openAndList('4.22')),
    await slowReaders(),
    ...(await allDie()),
    await zombies(),
    await smallCache(),
    await pollers(),
    await wrappedMiss(),
  ],
  {
    load: ({ load }) => load,
    'CPU, ms': ({ cpuMs }) => cpuMs.toFixed(0),
    'event loop held, ms': ({ heldMs }) => (Number.isNaN(heldMs) ? '' : heldMs.toFixed(0)),
    counts: ({ counts }) => counts,
  },
);
