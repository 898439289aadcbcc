/** Boot storms on a real Xen: the time that each way takes for a boot, and its share of dom0's CPU. */
import type { BarSeriesOption, EChartsOption } from 'echarts';
import type { BootStorm, StormResult } from '../xen/results.ts';
import { IN_NODE, WAY_NAMES } from '../xen/way-names.ts';
import { waysOf } from '../xen/ways.ts';
import { type Line, logLogHeight, logLogPanels } from './axes.ts';
import { FONT_SIZE, panelBox, titlesOf, WIDTH } from './layout.ts';
import type { Picture, Theme } from './picture.ts';

export const XEN_STORM_RESULT = 'bench/results/xen-storm.json';

/** The parts of bench/results/xen-storm.json that are drawn. */
export interface XenStormReport {
  readonly reports: readonly StormResult[];
}

/** Pixels. */
const SHARE_HEIGHT = 290;
const NAMES_WIDTH = 150;
const VALUES_WIDTH = 66;

interface Cost {
  readonly name: string;
  readonly isOurs: boolean;
  /** Milliseconds a boot. */
  readonly wallMs: number;
  readonly cpuMs: number;
}

/** Only in the tables: the look that bounds the ways by the table from below. */
const NOT_DRAWN: readonly string[] = [WAY_NAMES.bare];

/** Returns the costs of the ways, without those that repeat another one in Node: these are only in the tables too. */
function costs(storm: BootStorm, { byXenstore }: StormResult): Cost[] {
  return waysOf(storm, byXenstore)
    .filter(({ name }) => !name.endsWith(IN_NODE) && !NOT_DRAWN.includes(name))
    .map(({ name, isOurs, bootNs, bootCpuNs }) => ({
      name: name.replace(/^\w+: /, ''),
      isOurs,
      wallMs: bootNs / 1e6,
      cpuMs: bootCpuNs / 1e6,
    }));
}

export function xenStormPictures({ reports }: XenStormReport): Picture[] {
  const drawn = reports.filter(({ boots }) => boots.length > 1);
  const pictures: Picture[] = [];
  if (drawn.length > 0) pictures.push(bootTime(drawn));
  if (reports.length > 0) pictures.push(cpuShare(reports));
  return pictures;
}

function bootTime(reports: XenStormReport['reports']): Picture {
  const panels = reports.map((report) => ({ xen: report.xen, lines: linesOf(report) }));
  // All panels have one scale, so that they can be compared.
  const values = panels.flatMap(({ lines }) =>
    lines.flatMap(({ points }) => points.map(([, y]) => y)),
  );
  const from = 10 ** Math.floor(Math.log10(Math.min(...values)));
  const to = 10 ** Math.ceil(Math.log10(Math.max(...values)));
  return {
    name: 'xen-boot-time',
    width: WIDTH,
    height: logLogHeight(panels.length),
    option: (theme) =>
      logLogPanels(
        theme,
        panels.map(({ xen, lines }) => ({
          title: `Xen ${xen}: look-ups and event of a boot, ms`,
          x: 'VMs that boot',
          lines,
          from,
          to,
        })),
      ),
  };
}

function linesOf(report: StormResult): Line[] {
  const lines = new Map<string, Line & { points: [number, number][] }>();
  for (const boot of report.boots) {
    for (const { name, isOurs, wallMs } of costs(boot, report)) {
      const line = lines.get(name) ?? { name, isOurs, colour: lines.size, points: [] };
      line.points.push([boot.vms, wallMs]);
      lines.set(name, line);
    }
  }
  return [...lines.values()];
}

/** The share that a profile of dom0 would show if dom0 only created VMs and looked them up. */
function cpuShare(reports: XenStormReport['reports']): Picture {
  const rows = reports.map((report) => {
    const largest = report.boots.toSorted((one, other) => other.vms - one.vms)[0] as BootStorm;
    const makingMs = largest.bootsNs / largest.vms / 1e6;
    return {
      title: `Xen ${report.xen}, ${largest.vms} VMs: share of dom0's CPU`,
      shares: costs(largest, report)
        .map(({ name, isOurs, cpuMs }) => ({ name, isOurs, share: cpuMs / (cpuMs + makingMs) }))
        .toSorted((one, other) => one.share - other.share),
    };
  });
  return {
    name: 'xen-cpu-share',
    width: WIDTH,
    height: rows.length * SHARE_HEIGHT,
    option: (theme) => shareOption(theme, rows),
  };
}

interface ShareRow {
  readonly title: string;
  readonly shares: readonly {
    readonly name: string;
    readonly isOurs: boolean;
    readonly share: number;
  }[];
}

function shareOption(theme: Theme, rows: readonly ShareRow[]): EChartsOption {
  const label = { color: theme.text, fontSize: FONT_SIZE };
  return {
    title: titlesOf(
      theme,
      rows.map(({ title }) => title),
      SHARE_HEIGHT,
    ),
    grid: rows.map((_, index) => ({
      ...panelBox(index, SHARE_HEIGHT, { hasAxisName: false }),
      left: NAMES_WIDTH,
      width: WIDTH - NAMES_WIDTH - VALUES_WIDTH,
    })),
    xAxis: rows.map((_, gridIndex) => ({
      type: 'value',
      gridIndex,
      min: 0,
      max: 1,
      interval: 0.25,
      axisLabel: { ...label, formatter: (share: number) => `${100 * share} %` },
      splitLine: { lineStyle: { color: theme.faint, width: 0.6 } },
    })),
    yAxis: rows.map(({ shares }, gridIndex) => ({
      type: 'category',
      gridIndex,
      data: shares.map(({ name }) => name),
      axisLabel: label,
      axisTick: { show: false },
      axisLine: { lineStyle: { color: theme.faint } },
    })),
    series: rows.map(({ shares }, index): BarSeriesOption => ({
      type: 'bar',
      xAxisIndex: index,
      yAxisIndex: index,
      barWidth: '60%',
      data: shares.map(({ share, isOurs }) => ({
        value: share,
        itemStyle: { color: isOurs ? theme.ours : (theme.others[1] ?? theme.text) },
      })),
      label: {
        ...label,
        show: true,
        position: 'right',
        formatter: ({ value }) => `${(100 * Number(value)).toPrecision(3)} %`,
      },
    })),
  };
}
