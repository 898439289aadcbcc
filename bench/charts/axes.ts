/** Axes on which a line that grows in proportion is straight. */
import type { EChartsOption, LineSeriesOption } from 'echarts';
import type { Theme } from './picture.ts';

export interface Panel {
  readonly title: string;
  readonly x: string;
  readonly lines: readonly Line[];
  /** Least and most of the logarithmic scale upwards. */
  readonly from: number;
  readonly to: number;
}

export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly isOurs: boolean;
  /** Which of the theme's colours, where it is not ours. */
  readonly colour: number;
  readonly dashed?: boolean;
}

export function shorten(value: number): string {
  if (value >= 1e6) return `${value / 1e6}M`;
  if (value >= 1e3) return `${value / 1e3}k`;
  return `${value}`;
}

/** Pixels. */
const TOP = 44;
const BOTTOM = 46;
const LEFT = 48;
const LABELS = 134;
const LABEL_HEIGHT = 15;

/** Panels side by side, each line named at its right end. */
export function logLogPanels(
  theme: Theme,
  panels: readonly Panel[],
  { width, height }: { readonly width: number; readonly height: number },
): EChartsOption {
  const each = width / panels.length;
  const axis = {
    type: 'log',
    axisLine: { lineStyle: { color: theme.faint } },
    axisTick: { show: false },
    axisLabel: { color: theme.text, formatter: shorten },
    splitLine: { lineStyle: { color: theme.faint, width: 0.6 } },
    nameTextStyle: { color: theme.text },
  } as const;
  return {
    title: panels.map(({ title }, index) => ({
      text: title,
      left: index * each + 8,
      top: 8,
      textStyle: { color: theme.text, fontSize: 14 },
    })),
    grid: panels.map((_, index) => ({
      left: index * each + LEFT,
      width: each - LEFT - LABELS,
      top: TOP,
      bottom: BOTTOM,
    })),
    xAxis: panels.map(({ x, lines }, gridIndex) => ({
      ...axis,
      gridIndex,
      name: x,
      nameLocation: 'middle',
      nameGap: 28,
      min: Math.min(...lines.flatMap(({ points }) => points.map(([at]) => at))),
      max: Math.max(...lines.flatMap(({ points }) => points.map(([at]) => at))),
      splitLine: { show: false },
    })),
    yAxis: panels.map(({ from, to }, gridIndex) => ({ ...axis, gridIndex, min: from, max: to })),
    series: panels.flatMap((panel, index) => {
      const shifts = labelShifts(panel, height - TOP - BOTTOM);
      return panel.lines.map((line, at): LineSeriesOption =>
        lineSeries(theme, line, index, shifts[at] ?? 0),
      );
    }),
  };
}

/** How far each line's name moves down, pixels, so that none covers another: the library knows no panels when it does that. */
function labelShifts({ lines, from, to }: Panel, height: number): number[] {
  const ends = lines.map(({ points }) => {
    const part = Math.log(points.at(-1)?.[1] ?? from) - Math.log(from);
    return height * (1 - part / (Math.log(to) - Math.log(from)));
  });
  const places = [...ends];
  const order = ends
    .map((_, at) => at)
    .toSorted((one, other) => (ends[one] ?? 0) - (ends[other] ?? 0));
  // Each pair that is too close gives way by halves, until none is.
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
    lineStyle: {
      color: colour,
      width: line.isOurs ? 3.5 : 1.8,
      type: line.dashed === true ? 'dashed' : 'solid',
    },
    endLabel: {
      show: true,
      formatter: '{a}',
      color: colour,
      fontWeight: line.isOurs ? 'bold' : 'normal',
      fontSize: 12,
      distance: 6,
      offset: [0, shift],
    },
  };
}
