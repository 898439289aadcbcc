/** Boot storms on a real Xen: time a boot takes of each way, and its share of the CPU beside what makes the VMs. */
import type { BarSeriesOption, EChartsOption } from 'echarts';
import type { BootStorm, StormResult } from '../xen/results.ts';
import { waysOf } from '../xen/ways.ts';
import { type Line, logLogPanels } from './axes.ts';
import type { Picture, Theme } from './picture.ts';

export const XEN_STORM_RESULT = 'bench/results/xen-storm.json';

/** What of bench/results/xen-storm.json is drawn. */
export interface XenStormReport {
  readonly reports: readonly StormResult[];
}

const WIDTH = 940;
const HEIGHT = 380;
/** Those through our own binding are in the table. */
const OWN_BINDING = /, our binding$/;

interface Cost {
  readonly name: string;
  readonly isOurs: boolean;
  /** Milliseconds a boot. */
  readonly wallMs: number;
  readonly cpuMs: number;
}

function costs(storm: BootStorm, { byXenstore }: StormResult): Cost[] {
  return waysOf(storm, byXenstore)
    .filter(({ name }) => !OWN_BINDING.test(name))
    .map(({ name, isOurs, bootNs, bootCpuNs }) => ({
      name: plainName(name),
      isOurs,
      wallMs: bootNs / 1e6,
      cpuMs: bootCpuNs / 1e6,
    }));
}

function plainName(name: string): string {
  return name
    .replace(/^\w+: /, '')
    .replace('ours, in process', 'xen-domid')
    .replace('ours, over the socket', 'xen-domid, socket')
    .replace('chunk 1024, stop at the short page', 'to short page')
    .replace('one call of 32768', 'one call')
    .replace('list, then a name a domain, as xl', 'as xl');
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
  // One scale for all, so that panels can be compared.
  const values = panels.flatMap(({ lines }) =>
    lines.flatMap(({ points }) => points.map(([, y]) => y)),
  );
  const from = 10 ** Math.floor(Math.log10(Math.min(...values)));
  const to = 10 ** Math.ceil(Math.log10(Math.max(...values)));
  return {
    name: 'xen-boot-time',
    width: WIDTH,
    height: HEIGHT,
    option: (theme) =>
      logLogPanels(
        theme,
        panels.map(({ xen, lines }) => ({
          title: `Xen ${xen}: ms in look-ups and events, a boot`,
          x: 'VMs that boot',
          lines,
          from,
          to,
        })),
        { width: WIDTH, height: HEIGHT },
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

/** As a profile of dom0 would have it that makes VMs and does nothing else but look them up. */
function cpuShare(reports: XenStormReport['reports']): Picture {
  const rows = reports.map((report) => {
    const most = report.boots.toSorted((one, other) => other.vms - one.vms)[0] as BootStorm;
    const makingMs = most.bootsNs / most.vms / 1e6;
    return {
      title: `Xen ${report.xen}, ${most.vms} VMs`,
      shares: costs(most, report)
        .map(({ name, isOurs, cpuMs }) => ({ name, isOurs, share: cpuMs / (cpuMs + makingMs) }))
        .toSorted((one, other) => one.share - other.share),
    };
  });
  return {
    name: 'xen-cpu-share',
    width: WIDTH,
    height: 320,
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
  const each = WIDTH / rows.length;
  const label = { color: theme.text };
  return {
    title: rows.map(({ title }, index) => ({
      text: `${title}: share of dom0's CPU`,
      left: index * each + 8,
      top: 8,
      textStyle: { color: theme.text, fontSize: 14 },
    })),
    grid: rows.map((_, index) => ({
      left: index * each + 120,
      width: each - 120 - 64,
      top: 40,
      bottom: 30,
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
        show: true,
        position: 'right',
        color: theme.text,
        formatter: ({ value }) => `${(100 * Number(value)).toPrecision(3)} %`,
      },
    })),
  };
}
