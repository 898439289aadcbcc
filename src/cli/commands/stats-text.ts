/** The service's counters in words: rates and shares of a short time, and since the service started. */
import type { Counters } from '../../results.ts';

/** Growth of a counter in a time. */
interface Period {
  readonly seconds: number;
  /** @param name of the counter, such as `lookups.found`. */
  count(name: string): number;
}

interface Row {
  readonly label: string;
  readonly value: (period: Period) => string;
  /** The count itself, since the service started. */
  readonly total?: number;
}

const LOOKUPS = names('lookups', ['found', 'notFound', 'ambiguous', 'unavailable']);
const SOURCES = names('sources', ['cache', 'next', 'xenstore', 'list']);
const LISTS = names('lists', ['miss', 'event', 'connect', 'timer', 'zombie', 'list']);

/** Names of counters in words, where they differ. */
const WORDS: Readonly<Record<string, string>> = {
  'lookups.notFound': 'not found',
  'sources.cache': 'by the cache',
  'sources.next': 'at the next domid',
  'sources.xenstore': "by xenstore's hint",
  'sources.list': 'by a list',
  'lists.miss': 'for a look-up',
  'lists.event': 'for an event',
  'lists.connect': 'for a connection to xenstore',
  'lists.timer': 'by the slow timer',
  'lists.zombie': 'for dying domains',
  'lists.list': 'for a client',
};

const LABEL_WIDTH = 32;
const VALUE_WIDTH = 9;

/** @param before the counters a short time before `after`. */
export function statsText(before: Counters, after: Counters): string {
  const start: Period = {
    seconds: numberAt(after, 'uptimeSeconds'),
    count: (name) => numberAt(after, name),
  };
  const now: Period = {
    seconds: start.seconds - numberAt(before, 'uptimeSeconds'),
    count: (name) => Math.max(0, numberAt(after, name) - numberAt(before, name)),
  };
  const head = ['now', 'average', 'total'].map((text) => text.padStart(VALUE_WIDTH)).join('');
  const lines = rowsOf(start).map(({ label, value, total }) =>
    [
      label.padEnd(LABEL_WIDTH),
      value(now).padStart(VALUE_WIDTH),
      value(start).padStart(VALUE_WIDTH),
      total === undefined ? '' : ` ${grouped(total)}`.padStart(VALUE_WIDTH),
    ]
      .join('')
      .trimEnd(),
  );
  return [`${''.padEnd(LABEL_WIDTH)}${head}`, ...lines, '', ...stateOf(start, after), ''].join(
    '\n',
  );
}

function rowsOf(start: Period): Row[] {
  return [
    rate('look-ups', LOOKUPS, start),
    ...shares(LOOKUPS, LOOKUPS, start),
    ...shares(SOURCES, LOOKUPS, start),
    ratio('single looks a look-up', ['hypercalls.single'], LOOKUPS),
    ratio('domains copied a look-up', ['entriesCopied'], LOOKUPS),
    rate('lists of all domains', ['hypercalls.list'], start),
    ...shares(LISTS, LISTS, start),
    rate('events of xenstore', ['events'], start),
    rate('changes of domains', ['changes'], start),
    rate('requests, this one included', ['requests'], start),
    rate('connections', ['connections.accepted'], start),
  ];
}

/** The state at this moment, and what an administrator should know about. */
function stateOf(start: Period, after: Counters): string[] {
  const failures: readonly (readonly [string, string])[] = [
    ['listsFailed', 'lists failed'],
    ['changesFoundByTimer', 'changes found only by the slow timer'],
    ['xenstoreDisconnects', 'connections to xenstore lost'],
    ['connections.turnedAway', 'connections turned away'],
  ];
  return [
    `up ${durationText(start.seconds)}`,
    `domains: ${grouped(start.count('domains'))}, dying: ${grouped(start.count('dying'))}`,
    `connections: ${grouped(start.count('connections.open'))}, this one included; subscriptions: ${grouped(start.count('subscribers'))}`,
    after['xenstoreConnected'] === true
      ? 'connected to xenstore'
      : 'NOT connected to xenstore: changes arrive late',
    ...(after['stalled'] === true
      ? ['Xen delays domctls: single looks use the list operation']
      : []),
    ...failures
      .filter(([name]) => start.count(name) > 0)
      .map(([name, text]) => `${text}: ${grouped(start.count(name))}`),
  ];
}

function names(group: string, counters: readonly string[]): string[] {
  return counters.map((name) => `${group}.${name}`);
}

function sum(period: Period, counters: readonly string[]): number {
  return counters.reduce((total, name) => total + period.count(name), 0);
}

function rate(label: string, counters: readonly string[], start: Period): Row {
  return {
    label,
    value: (period) => `${short(sum(period, counters) / period.seconds)}/s`,
    total: sum(start, counters),
  };
}

/** One row for each counter that is not 0: its share of the whole. */
function shares(counters: readonly string[], whole: readonly string[], start: Period): Row[] {
  return counters
    .filter((name) => start.count(name) > 0)
    .map((name) => ({
      label: `  ${WORDS[name] ?? name.slice(name.indexOf('.') + 1)}`,
      value: (period) => percent(period.count(name), sum(period, whole)),
      total: start.count(name),
    }));
}

function ratio(label: string, counters: readonly string[], per: readonly string[]): Row {
  return {
    label,
    value: (period) => {
      const whole = sum(period, per);
      return whole === 0 ? '-' : short(sum(period, counters) / whole);
    },
  };
}

/** Returns 0 for anything else than a number. */
function numberAt(counters: Counters, path: string): number {
  const [group = '', name] = path.split('.');
  const value = Object.hasOwn(counters, group) ? counters[group] : undefined;
  if (name !== undefined && typeof value === 'object')
    return Object.hasOwn(value, name) ? numberAt(value, name) : 0;
  return typeof value === 'number' ? value : 0;
}

function percent(part: number, whole: number): string {
  return whole === 0 ? '-' : `${short((100 * part) / whole)} %`;
}

/** Three digits are enough for a person. */
function short(figure: number): string {
  if (!Number.isFinite(figure)) return '-';
  if (figure > 0 && figure < 0.01) return '<0.01';
  if (figure >= 100) return grouped(figure);
  return String(Number(figure.toPrecision(3)));
}

function grouped(count: number): string {
  return Math.round(count).toLocaleString('en-US');
}

/** The two largest units. */
function durationText(seconds: number): string {
  const units = [
    [86_400, 'd'],
    [3600, 'h'],
    [60, 'min'],
    [1, 's'],
  ] as const;
  const at = units.findIndex(([length]) => seconds >= length);
  if (at === -1) return '0 s';
  return units
    .slice(at, at + 2)
    .map(([length, unit], index) => {
      const above = units[at + index - 1]?.[0] ?? Infinity;
      return `${Math.floor((index === 0 ? seconds : seconds % above) / length)} ${unit}`;
    })
    .join(' ');
}
