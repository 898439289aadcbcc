/** Prints the results as tables. */
import type { Release } from '../../test/lab/release.ts';
import { percent } from '../statistics.ts';
import { printTable } from '../table.ts';
import { type Bar, barsOf, each, tableBarsOf } from './bars.ts';
import type { StallsResult, StormResult, TableResult, ToolstackResult } from './results.ts';
import { WAY_NAMES } from './way-names.ts';
import { waysOf } from './ways.ts';
import { NO_WORK } from './work.ts';

const US = 1e3;
const MS = 1e6;
const SECOND = 1e9;

function inMs(...times: readonly number[]): string {
  return times.map((ns) => (ns / MS).toFixed(1)).join(', ');
}

function printBoots({ xen, boots, byXenstore }: StormResult): void {
  for (const storm of boots) {
    const rows = waysOf(storm, byXenstore);
    const ours = rows.find(({ name }) => name.startsWith('6:'))?.bootNs ?? Number.NaN;
    const bootNs = storm.bootsNs / storm.vms;
    printTable(
      `Xen ${xen}: boot storm of ${storm.vms} VMs, ${storm.lookupsAVm} look-ups each; making a VM takes ${(bootNs / MS).toFixed(0)} ms`,
      rows,
      {
        way: ({ name }) => name,
        sample: ({ lookups }) => String(lookups.count),
        'a look-up, us': ({ lookups }) => (each(lookups, 'wallNs') / US).toFixed(0),
        'an event, CPU us': ({ eventNs }) =>
          eventNs === undefined ? '' : (eventNs / US).toFixed(0),
        'a boot, ms': (row) => (row.bootNs / MS).toFixed(1),
        '/ ours': (row) => `${(row.bootNs / ours).toFixed(1)}x`,
        'share of a CPU': (row) => percent(row.bootCpuNs / (row.bootCpuNs + bootNs)),
        'calls a look-up': (row) => (row.callsALookup === 0 ? '' : row.callsALookup.toFixed(2)),
        'entries a look-up': (row) =>
          row.entriesALookup === 0 ? '' : row.entriesALookup.toFixed(1),
        wrong: ({ lookups }) => String(lookups.wrong),
      },
    );
    for (const { name, lookups, firstNs } of storm.ours) {
      if (firstNs === undefined) continue;
      const first = firstNs / storm.vms;
      const others = (lookups.wallNs - firstNs) / (lookups.count - storm.vms);
      console.log(
        `${name}: the first look-up of a VM ${(first / US).toFixed(0)} us, each of the others ${(others / US).toFixed(0)} us`,
      );
    }
  }
}

function printBars(xen: string, bars: readonly Bar[]): void {
  printTable(`Xen ${xen}: bars`, bars, {
    what: ({ what }) => what,
    bar: ({ bar }) => bar,
    measured: ({ measured }) => measured,
    '': ({ met }) => (met ? 'met' : 'missed'),
  });
}

export function printTableLookups({ xen, domains, ways, firstNs }: TableResult): void {
  const rows = ways.toSorted((one, other) => one.name.localeCompare(other.name));
  const ours = rows.find(({ name }) => name === WAY_NAMES.byTable)?.work ?? NO_WORK;
  printTable(`Xen ${xen}: look-ups among ${domains} domains`, rows, {
    way: ({ name }) => name,
    'look-ups': ({ work }) => String(work.count),
    'a look-up, us': ({ work }) => (each(work, 'wallNs') / US).toFixed(1),
    '/ by the table': ({ work }) => `${(each(work, 'wallNs') / each(ours, 'wallNs')).toFixed(1)}x`,
    'calls a look-up': ({ work }) => each(work, 'calls').toFixed(2),
    'entries a look-up': ({ work }) => each(work, 'entries').toFixed(1),
    wrong: ({ work }) => String(work.wrong),
  });
  console.log(`The first look-up of a new VM, over the socket: ${(firstNs / US).toFixed(0)} us`);
  printBars(xen, tableBarsOf(ways));
}

export function printStorm(release: Release, result: StormResult): void {
  printBoots(result);
  printTable(`Xen ${result.xen}: shutdown storms`, result.shutdowns, {
    VMs: ({ vms }) => String(vms),
    'took, s': ({ tookNs }) => (tookNs / SECOND).toFixed(2),
    events: ({ events }) => String(events),
    'our lists': ({ lists }) => String(lists),
    'time in lists': ({ listNs, tookNs }) => percent(listNs / tookNs),
    'our CPU': ({ cpuNs, tookNs }) => percent(cpuNs / tookNs),
    'CPU of C with a list an event, s': ({ eventList, events }) =>
      ((each(eventList, 'cpuNs') * events) / SECOND).toFixed(2),
    '`destroyed` after the end, ms: median, p99, max': ({ destroyedAfter }) =>
      inMs(destroyedAfter.median, destroyedAfter.p99, destroyedAfter.max),
  });
  const { steady, moving } = result;
  printTable(
    `Xen ${result.xen}: a UUID that no domain has, ${steady.domains} domains, one VM starts and one ends each second; the service takes ${percent(steady.daemonCpuNs / (steady.seconds * SECOND))} of a CPU for all of it`,
    steady.unknown,
    {
      way: ({ name }) => name,
      'a look-up, ms': ({ work }) => (each(work, 'wallNs') / MS).toFixed(1),
      'its CPU, ms': ({ work }) => (each(work, 'cpuNs') / MS).toFixed(1),
      wrong: ({ work }) => String(work.wrong),
    },
  );
  printTable(
    `Xen ${result.xen}: a VM that moved ${moving.moves} times to a random domid, among ${moving.domains} domains, and had one at every moment`,
    moving.ways,
    {
      way: ({ name }) => name,
      'look-ups': ({ work }) => String(work.count),
      '"no such VM" (wrong)': ({ work }) => String(work.wrong),
    },
  );
  const bars = barsOf(release, result);
  if (bars !== undefined) printBars(result.xen, bars);
}

export function printStalls(results: readonly StallsResult[]): void {
  const rows = results.flatMap(({ xen, before, during, teardownNs, guests, guestMiB }) => [
    { xen, when: 'before', ...before },
    {
      xen,
      when: `${guests} guests of ${guestMiB} MB torn down in ${(teardownNs / SECOND).toFixed(1)} s`,
      ...during,
    },
  ]);
  printTable('Look-ups in process while guests are torn down', rows, {
    Xen: ({ xen }) => xen,
    when: ({ when }) => when,
    'event loop late, ms: p50, p99, max': ({ loopNs }) => inMs(loopNs.p50, loopNs.p99, loopNs.max),
    'a look-up, ms: p50, p99, max': ({ lookupNs }) =>
      inMs(lookupNs.p50, lookupNs.p99, lookupNs.max),
    'look-ups': ({ lookups }) => String(lookups),
    wrong: ({ wrong }) => String(wrong),
  });
}

export function printToolstack(results: readonly ToolstackResult[]): void {
  printTable(
    'Unikernels by xl create, looked up from before their creation until they run',
    results,
    {
      Xen: ({ xen }) => xen,
      'PV, PVH': ({ pv, pvh }) => `${pv}, ${pvh}`,
      'took, s': ({ tookNs }) => (tookNs / SECOND).toFixed(1),
      'found after listed, ms: median, p99, max': ({ foundAfter }) =>
        inMs(foundAfter.median, foundAfter.p99, foundAfter.max),
      "slowest look-up, longest delay of the client's loop, ms": ({ slowestNs, standstillNs }) =>
        inMs(slowestNs, standstillNs),
      'look-ups': ({ lookups }) => String(lookups),
      unanswered: ({ unavailable }) => String(unavailable),
      'single looks': ({ counts }) => String(counts.single),
      lists: ({ counts }) =>
        Object.entries(counts.lists)
          .filter(([, count]) => count > 0)
          .map(([reason, count]) => `${count} ${reason}`)
          .join(', '),
      wrong: ({ wrong }) => String(wrong),
      'CPU of the service, of dom0, s': ({ daemonCpuNs, dom0CpuNs }) =>
        `${(daemonCpuNs / SECOND).toFixed(2)}, ${(dom0CpuNs / SECOND).toFixed(1)}`,
    },
  );
}
