/** What a boot costs against how many VMs boot, by simulation: calls, and domains copied. */
import { OURS } from '../../src/storm/work.ts';
import type { Storm, StormReport } from '../storm-result.ts';
import { type Line, logLogPanels } from './axes.ts';
import type { Picture } from './picture.ts';

const WIDTH = 940;
const HEIGHT = 380;

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
  const calls = names.map((name, index) =>
    line(name, index, ({ boot }) => boot.hypercalls + boot.xenstoreRequests),
  );
  // Of pages of whatever size, all lists copy as many.
  const copied = [
    {
      ...line('list in one call', 3, ({ boot }) => boot.domainsCopied),
      name: 'any list for each',
    },
    line(OURS, 0, ({ boot }) => boot.domainsCopied),
  ];
  return {
    name: 'boot-cost',
    width: WIDTH,
    height: HEIGHT,
    option: (theme) =>
      logLogPanels(
        theme,
        [
          {
            title: 'Hypercalls and xenstore requests a boot',
            x: 'VMs that boot',
            lines: calls,
            from: 10,
            to: 1_000_000,
          },
          {
            title: 'Domains copied a boot',
            x: 'VMs that boot',
            lines: copied,
            from: 10,
            to: 1_000_000,
          },
        ],
        { width: WIDTH, height: HEIGHT },
      ),
  };
}
