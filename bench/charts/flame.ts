/** The daemon's calls while many ask it: a flame graph, its root at the bottom. */
import type { CustomSeriesOption, CustomSeriesRenderItemReturn, EChartsOption } from 'echarts';
import type { Frame, FlameReport } from '../flame-tree.ts';
import type { Picture, Theme } from './picture.ts';

const WIDTH = 940;
const ROW = 17;
const TOP = 64;
const LETTER = 6.1;
const ROOMS = ['service', 'inventory', 'hypervisor', 'simulator', 'libraries', 'node'] as const;

interface Bar {
  readonly frame: Frame;
  readonly depth: number;
  readonly from: number;
}

export function flame(report: FlameReport): Picture {
  const bars: Bar[] = [];
  let depthMost = 0;
  const walk = (frame: Frame, depth: number, from: number): void => {
    bars.push({ frame, depth, from });
    depthMost = Math.max(depthMost, depth);
    let at = from;
    for (const child of frame.children) {
      walk(child, depth + 1, at);
      at += child.share;
    }
  };
  walk(report.root, 0, 0);
  const height = TOP + (depthMost + 1) * ROW + 10;
  return {
    name: 'flame',
    width: WIDTH,
    height,
    option: (theme) => option(theme, report, bars, depthMost),
  };
}

function colourOf(theme: Theme, room: string): string {
  if (room === 'inventory') return theme.ours;
  const at = ROOMS.indexOf(room as (typeof ROOMS)[number]);
  return room === 'node' || at < 0 ? theme.faint : (theme.others[at] ?? theme.faint);
}

function option(
  theme: Theme,
  report: FlameReport,
  bars: readonly Bar[],
  depthMost: number,
): EChartsOption {
  const lookups = report.lookups.toLocaleString('en-US');
  const series: CustomSeriesOption = {
    type: 'custom',
    data: bars.map((_, index) => index),
    renderItem: ({ dataIndex }): CustomSeriesRenderItemReturn => {
      const bar = bars[dataIndex];
      if (bar === undefined) return null;
      const { frame, depth, from } = bar;
      const x = 8 + from * (WIDTH - 16);
      const y = TOP + (depthMost - depth) * ROW;
      const width = frame.share * (WIDTH - 16);
      const room = Math.floor((width - 6) / LETTER);
      const label = `${frame.name} ${(100 * frame.share).toFixed(frame.share < 0.1 ? 1 : 0)} %`;
      const text = label.length <= room ? label : frame.name.length <= room ? frame.name : '';
      return {
        type: 'rect',
        shape: { x, y, width: Math.max(0.5, width - 0.6), height: ROW - 1, r: 1 },
        style: { fill: colourOf(theme, frame.room), opacity: frame.room === 'node' ? 1 : 0.75 },
        ...(text !== '' && {
          textContent: { type: 'text', style: { text, fill: theme.text, fontSize: 11 } },
          textConfig: { position: 'insideLeft', distance: 4 },
        }),
      };
    },
    coordinateSystem: 'none',
  };
  return {
    title: {
      text: `The daemon while ${report.clients} clients ask: ${lookups} look-ups in ${report.seconds} s`,
      subtext: `${(100 * report.lookupShare).toFixed(0)} % of the samples in which it was busy are in look-ups, hypercall included. From the bottom up: who calls whom.`,
      left: 8,
      top: 6,
      itemGap: 4,
      textStyle: { color: theme.text, fontSize: 14 },
      subtextStyle: { color: theme.text, fontSize: 12 },
    },
    graphic: ROOMS.map((room, index) => ({
      type: 'group',
      left: 8 + index * 110,
      top: 47,
      children: [
        { type: 'rect', shape: { width: 10, height: 10 }, style: { fill: colourOf(theme, room) } },
        {
          type: 'text',
          left: 15,
          style: { text: room === 'node' ? 'Node' : room, fill: theme.text, fontSize: 11 },
        },
      ],
    })),
    series: [series],
  };
}
