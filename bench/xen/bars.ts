/** The bars of the storm, and the figures that meet or miss them: ratios within one boot of a release. */
import type { Release } from '../../test/lab/release.ts';
import { percent } from '../statistics.ts';
import type { BootStorm, OtherWay, OurWay, StormResult, Work } from './results.ts';
import { IN_NODE } from './way-names.ts';

export interface Bar {
  readonly what: string;
  readonly bar: string;
  readonly measured: string;
  readonly met: boolean;
}

const IN_PROCESS = '6';
const BY_SOCKET = '7';

function startsWith<T extends { readonly name: string }>(ways: readonly T[], number: string): T {
  const way = ways.find(({ name }) => name.startsWith(`${number}:`) && !name.endsWith(IN_NODE));
  if (way === undefined) throw new Error(`way ${number} was not measured`);
  return way;
}

export function ourWay(storm: BootStorm, number: '6' | '7' = IN_PROCESS): OurWay {
  return startsWith(storm.ours, number);
}

function otherWay(storm: BootStorm, number: string): OtherWay {
  return startsWith(storm.others, number);
}

export function each(work: Work, what: 'wallNs' | 'cpuNs' | 'calls' | 'entries'): number {
  return work[what] / work.count;
}

/** Nanoseconds for the look-ups and the event of one boot. */
export function ourBootNs(storm: BootStorm, way: OurWay): number {
  return each(way.lookups, 'wallNs') * storm.lookupsAVm + way.eventsCpuNs / storm.vms;
}

export function otherBootNs(storm: BootStorm, way: OtherWay): number {
  const eventNs = way.events === undefined ? 0 : each(way.events, 'cpuNs');
  return each(way.lookups, 'wallNs') * storm.lookupsAVm + eventNs + (way.readEventCpuNs ?? 0);
}

/** Times less than a list by 2, a list by 1024, and a list in one call. */
type Times = readonly [number, number, number];

interface Limits {
  readonly times: Times;
  /** Most cost of an event, in lists by 1024. */
  readonly event: number;
  readonly hypercalls: number;
  readonly growth: number;
}

const LIMITS: Partial<Record<Release, Limits>> = {
  '4.17': { times: [400, 20, 150], event: 1, hypercalls: 1.15, growth: 1.3 },
  '4.20': { times: [600, 28, 250], event: 0.5, hypercalls: 1.1, growth: 1.1 },
};

const LIST_NUMBERS = ['1', '2', '3'] as const;

/** For look-ups by the table, on both releases. */
const TABLE_TIMES: Times = [1000, 60, 300];
const TABLE_OVER_BARE = 1.1;

const MS = 1e6;
const SECOND = 1e9;

function timesLess(
  what: string,
  other: string,
  inLookups: number,
  times: number,
  withEvents?: number,
): Bar {
  const inAll = withEvents === undefined ? '' : ` (${withEvents.toFixed(1)}x)`;
  return {
    what: `${what}, compared with ${other}${withEvents === undefined ? '' : ' (with events)'}`,
    bar: `${times}x less`,
    measured: `${inLookups.toFixed(1)}x${inAll}`,
    met: inLookups >= times,
  };
}

function atMost(what: string, value: number, limit: number, show: (of: number) => string): Bar {
  return {
    what,
    bar: `<= ${show(limit)}`,
    measured: show(value),
    met: Number.isFinite(value) && value <= limit,
  };
}

/** The bars of look-ups by the table: in time of look-ups only, because its reader follows no events. */
export function tableBarsOf(
  ways: readonly { readonly name: string; readonly work: Work }[],
  when = '',
): Bar[] {
  const { name, work } = startsWith(ways, '8');
  const what = `time in look-ups${when}, ${name}`;
  const bare = startsWith(ways, '9');
  return [
    ...LIST_NUMBERS.map((number, index) => {
      const other = startsWith(ways, number);
      const less = each(other.work, 'wallNs') / each(work, 'wallNs');
      return timesLess(what, other.name, less, TABLE_TIMES[index] ?? Number.NaN);
    }),
    atMost(
      `${what}, over ${bare.name}`,
      each(work, 'wallNs') / each(bare.work, 'wallNs'),
      TABLE_OVER_BARE,
      (value) => value.toFixed(3),
    ),
  ];
}

/** Returns undefined for a release without bars. */
export function barsOf(release: Release, result: StormResult): Bar[] | undefined {
  const limits = LIMITS[release];
  const [first, last] = [result.boots[0], result.boots.at(-1)];
  if (limits === undefined || first === undefined || last === undefined) return undefined;
  const ours = ourWay(last);
  const shutdown = result.shutdowns.at(-1);
  const bars: Bar[] = [
    ...LIST_NUMBERS.map((number, index) => {
      const other = otherWay(last, number);
      return timesLess(
        'time in look-ups',
        other.name,
        each(other.lookups, 'wallNs') / each(ours.lookups, 'wallNs'),
        limits.times[index] ?? Number.NaN,
        otherBootNs(last, other) / ourBootNs(last, ours),
      );
    }),
    ...tableBarsOf(last.others.map(({ name, lookups }) => ({ name, work: lookups }))),
    ...tableBarsOf(
      last.others.map(({ name, lastLookups }) => ({ name, work: lastLookups })),
      ' of the last tenth',
    ),
  ];
  const add = (...bar: Parameters<typeof atMost>): void => {
    bars.push(atMost(...bar));
  };
  const listNs = each(otherWay(last, '2').lookups, 'cpuNs');
  for (const number of [IN_PROCESS, BY_SOCKET] as const) {
    const way = ourWay(last, number);
    add(
      `CPU of an event, in lists by 1024 in C, ${way.name}`,
      way.eventsCpuNs / last.vms / listNs,
      limits.event,
      (value) => value.toFixed(2),
    );
  }
  const { single, list, entries } = ours.counts;
  const lookups = ours.lookups.count;
  add('hypercalls a look-up', (single + list) / lookups, limits.hypercalls, (v) => v.toFixed(3));
  add('entries a VM beyond one a look-up', (single + entries - lookups) / last.vms, 3, (v) =>
    v.toFixed(2),
  );
  add(
    `a boot among ${last.vms} over one among ${first.vms}`,
    ourBootNs(last, ours) / ourBootNs(first, ourWay(first)),
    limits.growth,
    (v) => v.toFixed(2),
  );
  add('wrong answers', wrongAnswers(result), 0, String);
  if (shutdown !== undefined) {
    add('shutdown storm: share of time in lists', shutdown.listNs / shutdown.tookNs, 0.02, percent);
    add('shutdown storm: `destroyed` after the end', shutdown.destroyedAfter.max, SECOND, inMs);
  }
  add('held zombies: `destroyed` after the end', result.zombies.max, SECOND, inMs);
  const { created, destroyed } = result.quiet;
  add('quiet host: created, after the event', created.max, 50 * MS, inMs);
  add('quiet host: destroyed, after the event', destroyed.max, 50 * MS, inMs);
  return bars;
}

function inMs(ns: number): string {
  return `${(ns / MS).toFixed(0)} ms`;
}

function isOurs({ name }: { readonly name: string }): boolean {
  return name.includes('xen-domid');
}

/** Counts xen-domid's wrong answers in all parts. */
function wrongAnswers({ boots, moving, steady }: StormResult): number {
  const works = [
    ...boots.flatMap(({ ours }) => ours.map(({ lookups }) => lookups)),
    ...boots.map((storm) => otherWay(storm, '8').lookups),
    ...[...moving.ways, ...steady.unknown].filter(isOurs).map(({ work }) => work),
  ];
  return works.reduce((sum, { wrong }) => sum + wrong, 0);
}
