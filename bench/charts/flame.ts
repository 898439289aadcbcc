/** A flame graph of the daemon's calls while clients ask it, with the root at the bottom. */
import type { CustomSeriesOption, CustomSeriesRenderItemReturn, EChartsOption } from 'echarts';
import type { Frame, FlameReport } from '../flame-tree.ts';
import { TITLE_SIZE } from './layout.ts';
import type { Picture, Theme } from './picture.ts';

/** Pixels: the width of a page's text on GitHub, so that the labels are not scaled down there. */
const WIDTH = 830;
const ROW_HEIGHT = 19;
const TOP = 76;
const LABEL_SIZE = 12;
/** The mean width of a letter in {@link LABEL_SIZE}. */
const LETTER_WIDTH = 6.7;
const LEGEND_ENTRY_WIDTH = 120;
const MARGIN = 8;
const ROOMS = ['service', 'inventory', 'hypervisor', 'simulator', 'libraries', 'node'] as const;

interface Bar {
  readonly frame: Frame;
  readonly depth: number;
  readonly from: number;
}

export function flame(report: FlameReport): Picture {
  const bars: Bar[] = [];
  let maxDepth = 0;
  const walk = (frame: Frame, depth: number, from: number): void => {
    bars.push({ frame, depth, from });
    maxDepth = Math.max(maxDepth, depth);
    let at = from;
    for (const child of frame.children) {
      walk(child, depth + 1, at);
      at += child.share;
    }
  };
  walk(report.root, 0, 0);
  const height = TOP + (maxDepth + 1) * ROW_HEIGHT + 10;
  return {
    name: 'flame',
    width: WIDTH,
    height,
    option: (theme) => option(theme, report, bars, maxDepth),
  };
}

function colourOf(theme: Theme, room: string): string {
  if (room === 'inventory') return theme.ours;
  const at = ROOMS.indexOf(room as (typeof ROOMS)[number]);
  return room === 'node' || at < 0 ? theme.faint : (theme.others[at] ?? theme.faint);
}

/** The name with its share, the name, or nothing: the longest that fits. */
function labelOf({ name, share }: Frame, width: number): string {
  const letters = Math.floor((width - 6) / LETTER_WIDTH);
  const withShare = `${name} ${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
  return [withShare, name].find((text) => text.length <= letters) ?? '';
}

function option(
  theme: Theme,
  report: FlameReport,
  bars: readonly Bar[],
  maxDepth: number,
): EChartsOption {
  const lookups = report.lookups.toLocaleString('en-US');
  const series: CustomSeriesOption = {
    type: 'custom',
    data: bars.map((_, index) => index),
    renderItem: ({ dataIndex }): CustomSeriesRenderItemReturn => {
      const bar = bars[dataIndex];
      if (bar === undefined) return null;
      const { frame, depth, from } = bar;
      const x = MARGIN + from * (WIDTH - 2 * MARGIN);
      const y = TOP + (maxDepth - depth) * ROW_HEIGHT;
      const width = frame.share * (WIDTH - 2 * MARGIN);
      const text = labelOf(frame, width);
      return {
        type: 'rect',
        shape: { x, y, width: Math.max(0.5, width - 0.6), height: ROW_HEIGHT - 1, r: 1 },
        style: { fill: colourOf(theme, frame.room), opacity: frame.room === 'node' ? 1 : 0.5 },
        ...(text !== '' && {
          textContent: { type: 'text', style: { text, fill: theme.text, fontSize: LABEL_SIZE } },
          textConfig: { position: 'insideLeft', distance: 4 },
        }),
      };
    },
    coordinateSystem: 'none',
  };
  return {
    title: {
      text: `The daemon while ${report.clients} clients ask: ${lookups} look-ups in ${report.seconds} s`,
      subtext: `${(100 * report.lookupShare).toFixed(0)} % of the busy samples are in look-ups, hypercall included. Callers are below what they call.`,
      left: MARGIN,
      top: 6,
      itemGap: 4,
      textStyle: { color: theme.text, fontSize: TITLE_SIZE },
      subtextStyle: { color: theme.text, fontSize: LABEL_SIZE },
    },
    graphic: ROOMS.map((room, index) => ({
      type: 'group',
      left: MARGIN + index * LEGEND_ENTRY_WIDTH,
      top: 54,
      children: [
        {
          type: 'rect',
          shape: { width: 12, height: 12 },
          style: { fill: colourOf(theme, room), opacity: room === 'node' ? 1 : 0.5 },
        },
        {
          type: 'text',
          left: 18,
          style: {
            text: room === 'node' ? 'Node' : room,
            fill: theme.text,
            fontSize: LABEL_SIZE,
          },
        },
      ],
    })),
    series: [series],
  };
}
