/** Line charts with logarithmic axes, on which proportional growth is a straight line. */
import type { EChartsOption, LineSeriesOption } from 'echarts';
import { FONT_SIZE, panelBox, titlesOf, WIDTH } from './layout.ts';
import type { Theme } from './picture.ts';

export interface Panel {
  readonly title: string;
  readonly x: string;
  readonly lines: readonly Line[];
  /** Limits of the vertical axis. */
  readonly from: number;
  readonly to: number;
}

export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly isOurs: boolean;
  /** Index into the theme's colours, unless the line is ours. */
  readonly colour: number;
}

/** 1200000 as "1.2M". */
export function shorten(value: number): string {
  if (value >= 1e6) return `${value / 1e6}M`;
  if (value >= 1e3) return `${value / 1e3}k`;
  return `${value}`;
}

/** Pixels. */
const PANEL_HEIGHT = 320;
const LEFT = 58;
const LABELS_WIDTH = 172;
const LABEL_HEIGHT = 18;

export function logLogHeight(panels: number): number {
  return panels * PANEL_HEIGHT;
}

/** Draws panels one below the other, with each line's name at its right end. */
export function logLogPanels(theme: Theme, panels: readonly Panel[]): EChartsOption {
  const axis = {
    type: 'log',
    axisLine: { lineStyle: { color: theme.faint } },
    axisTick: { show: false },
    axisLabel: { color: theme.text, fontSize: FONT_SIZE, formatter: shorten },
    splitLine: { lineStyle: { color: theme.faint, width: 0.6 } },
    nameTextStyle: { color: theme.text, fontSize: FONT_SIZE },
  } as const;
  const boxes = panels.map((_, index) => panelBox(index, PANEL_HEIGHT, { hasAxisName: true }));
  return {
    title: titlesOf(
      theme,
      panels.map(({ title }) => title),
      PANEL_HEIGHT,
    ),
    grid: boxes.map((box) => ({ ...box, left: LEFT, width: WIDTH - LEFT - LABELS_WIDTH })),
    xAxis: panels.map(({ x, lines }, gridIndex) => ({
      ...axis,
      gridIndex,
      name: x,
      nameLocation: 'middle',
      nameGap: 30,
      min: Math.min(...lines.flatMap(({ points }) => points.map(([at]) => at))),
      max: Math.max(...lines.flatMap(({ points }) => points.map(([at]) => at))),
      splitLine: { show: false },
    })),
    yAxis: panels.map(({ from, to }, gridIndex) => ({ ...axis, gridIndex, min: from, max: to })),
    series: panels.flatMap((panel, index) => {
      const shifts = labelShifts(panel, boxes[index]?.height ?? 0);
      return panel.lines.map((line, at): LineSeriesOption =>
        lineSeries(theme, line, index, shifts[at] ?? 0),
      );
    }),
  };
}

/**
 * Returns how far to move each line's name down, in pixels, so that no name covers another.
 * ECharts can move labels itself, but then mixes up the panels.
 */
function labelShifts({ lines, from, to }: Panel, height: number): number[] {
  const ends = lines.map(({ points }) => {
    const part = Math.log(points.at(-1)?.[1] ?? from) - Math.log(from);
    return height * (1 - part / (Math.log(to) - Math.log(from)));
  });
  const places = [...ends];
  const order = ends
    .map((_, at) => at)
    .toSorted((one, other) => (ends[one] ?? 0) - (ends[other] ?? 0));
  // Push each pair that overlaps apart, half each, until none overlaps.
  for (let round = 0; round < 200; round++) {
    for (let next = 1; next < order.length; next++) {
      const [upper, lower] = [order[next - 1] ?? 0, order[next] ?? 0];
      const lacking = LABEL_HEIGHT - ((places[lower] ?? 0) - (places[upper] ?? 0));
      if (lacking <= 0) continue;
      places[upper] = (places[upper] ?? 0) - lacking / 2;
      places[lower] = (places[lower] ?? 0) + lacking / 2;
    }
  }
  return places.map((place, at) => Math.round(place - (ends[at] ?? 0)));
}

function lineSeries(theme: Theme, line: Line, index: number, shift: number): LineSeriesOption {
  const colour = line.isOurs ? theme.ours : (theme.others[line.colour] ?? theme.text);
  return {
    type: 'line',
    name: line.name,
    xAxisIndex: index,
    yAxisIndex: index,
    data: line.points.map(([x, y]) => [x, y]),
    symbol: 'circle',
    symbolSize: line.isOurs ? 7 : 5,
    z: line.isOurs ? 4 : 3,
    itemStyle: { color: colour },
    lineStyle: { color: colour, width: line.isOurs ? 3.5 : 1.8 },
    endLabel: {
      show: true,
      formatter: '{a}',
      color: colour,
      fontWeight: line.isOurs ? 'bold' : 'normal',
      fontSize: FONT_SIZE,
      distance: 6,
      offset: [0, shift],
    },
  };
}
