/** The text of the demonstration: a screen for a terminal, or a line for a pipe. */
import { type Style, styled } from '../terminal/colour.ts';
import { fitText } from '../terminal/text-width.ts';
import { AGENTS, type DemoView } from './figures.ts';

/** The texts that differ between the simulated host and a real Xen. */
export interface DemoHost {
  /** Begins each line in a pipe. */
  readonly name: string;
  /** Above the figures. */
  readonly title: string;
  /** Below them. */
  readonly hints: readonly string[];
}

export interface ScreenSize {
  readonly columns: number;
  readonly rows: number;
  readonly colour: boolean;
}

interface Line {
  readonly text: string;
  readonly style?: Style;
}

/** From this width on, bars compare the figures, and changes have their time. */
const WIDE_COLUMNS = 100;
const LABEL_WIDTH = 22;
const FIGURE_WIDTH = 12;
const BAR = '\u2588';

const STYLE_OF_KIND: Readonly<Record<string, Style>> = {
  created: 'green',
  shutdown: 'yellow',
  dying: 'dim',
  destroyed: 'red',
};

/** Returns the lines of a screen; they fit `size`. */
export function screenOf(view: DemoView, host: DemoHost, size: ScreenSize): string[] {
  const figures: Line[] = [
    { text: host.title, style: 'bold' },
    { text: '' },
    { text: `${'VMs'.padEnd(LABEL_WIDTH)}${view.vms}` },
    {
      text: `${'look-ups a second'.padEnd(LABEL_WIDTH)}${grouped(view.lookupsASecond)}, by ${AGENTS} agents`,
    },
    {
      text: `${'wrong answers'.padEnd(LABEL_WIDTH)}${view.wrong}`,
      style: view.wrong === 0 ? 'green' : 'red',
    },
    ...comparison(view, size),
    { text: '' },
    ...host.hints.map((text) => ({ text })),
    { text: '' },
  ];
  const room = Math.max(0, size.rows - figures.length);
  const changes =
    room === 0 ? [] : view.changes.slice(-room).map((entry) => changeLine(entry, size));
  return [...figures, ...changes].slice(0, size.rows).map(({ text, style }) => {
    const fitted = fitText(text, size.columns);
    return size.colour && style !== undefined ? styled(style, fitted) : fitted;
  });
}

/** The cost of a look-up, next to that of answering the same question by a list of all domains. */
function comparison(view: DemoView, { columns }: ScreenSize): Line[] {
  const { listing } = view;
  const rows: readonly (readonly [string, number, number, string])[] = [
    ['time, median', view.medianMs, listing.medianMs, ' ms'],
    ['time, 99th percentile', view.p99Ms, listing.p99Ms, ' ms'],
    ['domains copied', view.copiedALookup, listing.copied, ''],
  ];
  const barColumns = columns - LABEL_WIDTH - 3 * FIGURE_WIDTH - 2;
  const head = ['xen-domid', 'a list each', 'times'].map((text) => text.padStart(FIGURE_WIDTH));
  return [
    { text: `${'for a look-up'.padEnd(LABEL_WIDTH)}${head.join('')}`, style: 'bold' },
    ...rows.map(([label, ours, theirs, unit]) => {
      const figures = [
        `${ours.toFixed(2)}${unit}`,
        listing.questions === 0 ? '-' : `${theirs.toFixed(2)}${unit}`,
        ours > 0 && listing.questions > 0 ? `${(theirs / ours).toFixed(1)}x` : '-',
      ];
      const text = `${label.padEnd(LABEL_WIDTH)}${figures.map((figure) => figure.padStart(FIGURE_WIDTH)).join('')}`;
      return { text: columns < WIDE_COLUMNS ? text : `${text}  ${bars(ours, theirs, barColumns)}` };
    }),
    {
      text: `A list each: measured, at ${grouped(listing.questions)} of the questions.`,
      style: 'dim',
    },
  ];
}

/** Two bars in one line, in proportion to the figures: ours full, the other one lighter. */
function bars(ours: number, theirs: number, columns: number): string {
  const most = Math.max(ours, theirs);
  if (most === 0) return '';
  const length = (figure: number): number => Math.max(1, Math.round((figure / most) * columns));
  return BAR.repeat(length(ours)) + '\u2591'.repeat(Math.max(0, length(theirs) - length(ours)));
}

function changeLine(
  [timeMs, { kind, domid, uuid }]: DemoView['changes'][number],
  size: ScreenSize,
): Line {
  const text = `${kind.padEnd(9)} ${String(domid).padStart(5)}  ${uuid}`;
  const style = STYLE_OF_KIND[kind];
  const time =
    size.columns < WIDE_COLUMNS ? '' : `${new Date(timeMs).toLocaleTimeString('en-GB')}  `;
  return { text: `${time}${text}`, ...(style !== undefined && { style }) };
}

export function lineOf(view: DemoView, { name }: DemoHost): string {
  const last = view.changes.at(-1)?.[1];
  const change = last === undefined ? '' : `; last: domain ${last.domid} ${last.kind}`;
  const { listing } = view;
  const lists =
    listing.questions === 0
      ? ''
      : `, by a list each ${listing.medianMs.toFixed(2)} ms and ${listing.copied.toFixed(0)} domains copied`;
  return `${name}, ${view.vms} VMs: ${Math.round(view.lookupsASecond)} look-ups a second, p50 ${view.medianMs.toFixed(2)} ms, ${view.hypercallsALookup.toFixed(3)} hypercalls a look-up${lists}, ${view.lists} lists, ${view.wrong} wrong${change}\n`;
}

function grouped(count: number): string {
  return Math.round(count).toLocaleString('en-US');
}
