/** Duration of look-ups during the storms, as a client in another process measured it. */
import type { EChartsOption, LineSeriesOption } from 'echarts';
import { QUANTILES } from '../quantiles.ts';
import type { Storm, StormReport } from '../storm-result.ts';
import { shorten } from './axes.ts';
import { FONT_SIZE, TITLE_SIZE, WIDTH } from './layout.ts';
import type { Picture, Theme } from './picture.ts';

const HEIGHT = 400;
/** Labels of the horizontal axis. 99.99 % is as far from 99.9 % as that is from 99 %. */
const MARKS = [0, 0.9, 0.99, 0.999, 0.9999];

export function latency({ storms }: StormReport): Picture {
  const shown = storms.filter(({ tookUs }) => tookUs !== undefined && tookUs.length > 0);
  return {
    name: 'latency',
    width: WIDTH,
    height: HEIGHT,
    option: (theme) => option(theme, shown),
  };
}

/** The position of a share on the axis: the negative power of ten of the rest. */
const placeOf = (share: number): number => -Math.log10(1 - share);

function option(theme: Theme, storms: readonly Storm[]): EChartsOption {
  const label = { color: theme.text, fontSize: FONT_SIZE };
  const sizes = [...new Set(storms.map(({ vms }) => vms))];
  const line = { lineStyle: { color: theme.faint, width: 0.6 } };
  return {
    title: {
      text: 'Look-ups over the socket during a storm, us',
      left: 8,
      top: 8,
      textStyle: { color: theme.text, fontSize: TITLE_SIZE },
    },
    // The curves leave the upper left free.
    legend: { orient: 'vertical', left: 66, top: 46, itemWidth: 34, itemGap: 6, textStyle: label },
    grid: { left: 58, right: 40, top: 44, bottom: 52 },
    xAxis: {
      type: 'value',
      min: 0,
      max: 4,
      interval: 1,
      name: 'share of look-ups that took at most that long',
      nameLocation: 'middle',
      nameGap: 30,
      nameTextStyle: label,
      axisLabel: {
        ...label,
        formatter: (place: number) => {
          const share = MARKS.find((mark) => Math.abs(placeOf(mark) - place) < 0.01) ?? 0;
          return `${Number((100 * share).toFixed(2))} %`;
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
        data: QUANTILES.flatMap((share, at) => {
          const us = tookUs[at];
          return share > 0.9999 || us === undefined ? [] : [[placeOf(share), us]];
        }),
        symbolSize: 4,
        itemStyle: { color: colour },
        lineStyle: { color: colour, width: 2, type: isRandom ? 'dashed' : 'solid' },
      };
    }),
  };
}
