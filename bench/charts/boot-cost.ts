/** The cost of a boot against the number of VMs, on a simulated host: calls, and domains copied. */
import { OURS } from '../../src/storm/work.ts';
import type { Storm, StormReport } from '../storm-result.ts';
import { type Line, logLogHeight, logLogPanels, type Panel } from './axes.ts';
import { WIDTH } from './layout.ts';
import type { Picture } from './picture.ts';

export function bootCost({ storms }: StormReport): Picture {
  const shown = storms.filter(({ domids, atOnce }) => domids === 'sequential' && atOnce === 1);
  const names = [...new Set(shown.map(({ name }) => name))].filter((name) => !name.includes(','));
  const line = (name: string, colour: number, value: (storm: Storm) => number): Line => ({
    name,
    colour,
    isOurs: name === OURS,
    points: shown
      .filter((storm) => storm.name === name)
      .map((storm) => [storm.vms, value(storm) / storm.vms] as const)
      .toSorted(([one], [other]) => one - other),
  });
  const axes = { x: 'VMs that boot', from: 10, to: 1_000_000 };
  const panels: Panel[] = [
    {
      ...axes,
      title: 'Hypercalls and xenstore requests per boot',
      lines: names.map((name, index) =>
        line(name, index, ({ boot }) => boot.hypercalls + boot.xenstoreRequests),
      ),
    },
    {
      ...axes,
      title: 'Domains copied per boot',
      lines: [
        // All lists copy the same number of domains, whatever their page size.
        { ...line('list in one call', 3, ({ boot }) => boot.domainsCopied), name: 'any list' },
        line(OURS, 0, ({ boot }) => boot.domainsCopied),
      ],
    },
  ];
  return {
    name: 'boot-cost',
    width: WIDTH,
    height: logLogHeight(panels.length),
    option: (theme) => logLogPanels(theme, panels),
  };
}
