/** `xen-domid storm`: VMs boot on a simulated host, and what look-ups cost each way stands side by side. */
import { type OptionValues, parseCount } from './arguments.ts';
import { ExitStatus } from './exit-status.ts';
import type { Io } from './io.ts';
import { openProgressBar } from './progress-bar.ts';
import {
  LOOKUPS_A_VM,
  stormOfLists,
  stormOfOurs,
  type Progress,
  type StormResult,
} from './storm-contestants.ts';
import { PAGINGS } from './storm-paging.ts';

const DEFAULT_VMS = 1000;
const MOST_VMS = 30_000;

export async function storm(
  io: Io,
  { vms: text, json }: Pick<OptionValues, 'vms' | 'json'>,
): Promise<ExitStatus> {
  const vms = text === undefined ? DEFAULT_VMS : parseCount('--vms', text, 1, MOST_VMS);
  const bar = await openProgressBar(io.outputIsTerminal(), (1 + PAGINGS.length) * vms);
  const results: StormResult[] = [];
  const progress: Progress = (booted) => bar.update(results.length * vms + booted);
  try {
    bar.name('xen-domid');
    results.push(await stormOfOurs(vms, progress));
    for (const paging of PAGINGS) {
      bar.name(paging.name);
      // oxlint-disable-next-line no-await-in-loop -- one contestant after the other
      results.push(await stormOfLists(vms, paging, progress));
    }
  } finally {
    bar.stop();
  }
  io.out(
    json
      ? `${JSON.stringify({ vms, lookupsPerVm: LOOKUPS_A_VM, results })}\n`
      : report(vms, results),
  );
  return ExitStatus.done;
}

function report(vms: number, results: readonly StormResult[]): string {
  const lookups = vms * LOOKUPS_A_VM;
  const [ours] = results;
  const rows = results.map(({ name, hypercalls, entriesCopied, wrong }) => [
    name,
    grouped(hypercalls),
    (hypercalls / lookups).toFixed(2),
    times(hypercalls, ours?.hypercalls),
    grouped(entriesCopied),
    times(entriesCopied, ours?.entriesCopied),
    String(wrong),
  ]);
  const head = ['', 'hypercalls', 'a look-up', 'of ours', 'entries copied', 'of ours', 'wrong'];
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((cells) => cells[column]?.length ?? 0)),
  );
  const lines = [head, ...rows].map((cells) =>
    cells
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return column === 0 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join('  '),
  );
  const sampled = results.filter(({ bootsMeasured }) => bootsMeasured < vms);
  const notes = sampled.map(
    ({ name, bootsMeasured }) =>
      `${name}: look-ups made at ${bootsMeasured} of the ${vms} boots, spread evenly, and scaled up.\n`,
  );
  return `${vms} VMs boot on a simulated host, with ${LOOKUPS_A_VM} look-ups each and an event that calls for a look:

${lines.join('\n')}

Counted, not timed: a hypercall for one domain or for all, and the domains that lists copied.
${notes.join('')}`;
}

function grouped(count: number): string {
  return count.toLocaleString('en-US');
}

function times(count: number, ours: number | undefined): string {
  return ours === undefined || ours === 0
    ? '-'
    : `${(count / ours).toLocaleString('en-US', { maximumSignificantDigits: 3 })}x`;
}
