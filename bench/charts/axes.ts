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

/** Panels side by side, each line named at its right end. */
export function logLogPanels(theme: Theme, panels: readonly Panel[], width: number): EChartsOption {
  const each = width / panels.length;
  const LABELS = 122;
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
      left: index * each + 48,
      width: each - 48 - LABELS,
      top: 44,
      bottom: 46,
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
    series: panels.flatMap(({ lines }, index) =>
      lines.map((line): LineSeriesOption => lineSeries(theme, line, index)),
    ),
  };
}

function lineSeries(theme: Theme, line: Line, index: number): LineSeriesOption {
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
    },
    labelLayout: { moveOverlap: 'shiftY' },
  };
}
