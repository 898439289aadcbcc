/** How long look-ups took during the storms, as a client in another process measured it. */
import type { EChartsOption, LineSeriesOption } from 'echarts';
import { QUANTILES } from '../quantiles.ts';
import type { Storm, StormReport } from '../storm-result.ts';
import { shorten } from './axes.ts';
import type { Picture, Theme } from './picture.ts';

const WIDTH = 940;
/** Where the rest of the axis is: 99.99 % lies as far from 99.9 % as that from 99 %. */
const MARKS = [0, 0.5, 0.9, 0.99, 0.999, 0.9999];

export function latency({ storms }: StormReport): Picture {
  const shown = storms.filter(({ tookUs }) => tookUs !== undefined && tookUs.length > 0);
  return {
    name: 'latency',
    width: WIDTH,
    height: 360,
    option: (theme) => option(theme, shown),
  };
}

/** In powers of ten of what is left to 1. */
const placeOf = (part: number): number => -Math.log10(1 - part);

function option(theme: Theme, storms: readonly Storm[]): EChartsOption {
  const label = { color: theme.text };
  const sizes = [...new Set(storms.map(({ vms }) => vms))];
  const line = { lineStyle: { color: theme.faint, width: 0.6 } };
  return {
    title: {
      text: 'Look-ups over the socket during the storm, microseconds',
      left: 8,
      top: 8,
      textStyle: { color: theme.text, fontSize: 14 },
    },
    legend: {
      orient: 'vertical',
      right: 20,
      top: 'middle',
      itemWidth: 34,
      textStyle: { ...label, fontSize: 12 },
    },
    grid: { left: 52, right: 232, top: 44, bottom: 46 },
    xAxis: {
      type: 'value',
      min: 0,
      max: 4,
      interval: 1,
      name: 'share of look-ups that took no longer',
      nameLocation: 'middle',
      nameGap: 28,
      nameTextStyle: label,
      axisLabel: {
        ...label,
        formatter: (place: number) => {
          const part = MARKS.find((mark) => Math.abs(placeOf(mark) - place) < 0.01) ?? 0;
          return `${Number((100 * part).toFixed(2))} %`;
        },
      },
      axisLine: { lineStyle: { color: theme.faint } },
      splitLine: line,
    },
    yAxis: {
      type: 'log',
      axisLabel: { ...label, formatter: shorten },
      splitLine: line,
    },
    series: storms.map(({ vms, domids, tookUs = [] }): LineSeriesOption => {
      const isRandom = domids === 'random';
      const colour = theme.others[sizes.indexOf(vms)] ?? theme.text;
      return {
        type: 'line',
        name: `${vms.toLocaleString('en-US')} VMs, ${domids}`,
        data: QUANTILES.flatMap((part, at) => {
          const us = tookUs[at];
          return part > 0.9999 || us === undefined ? [] : [[placeOf(part), us]];
        }),
        symbolSize: 4,
        itemStyle: { color: colour },
        lineStyle: { color: colour, width: 2, type: isRandom ? 'dashed' : 'solid' },
      };
    }),
  };
}
