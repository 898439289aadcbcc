/** `xen-domid storm`: boots VMs on a simulated host, and prints the cost of look-ups by each contestant side by side. */
import { type OptionValues, parseCount, SIMULATED_VMS_MAX, STORM_VMS } from '../arguments.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { ProgressBar } from '../terminal/progress.ts';
import { agentOf, stormOfInventory } from '../../storm/inventory-storm.ts';
import { ENTRANTS, stormOfLists } from '../../storm/list-storm.ts';
import { LOOKUPS_A_BOOT, OURS, type Phase, type StormFigures } from '../../storm/work.ts';

export async function storm(
  io: Io,
  { vms: text, json }: Pick<OptionValues, 'vms' | 'json'>,
): Promise<ExitStatus> {
  const vms = text === undefined ? STORM_VMS : parseCount('--vms', text, 1, SIMULATED_VMS_MAX);
  const bar = new ProgressBar(io.outputIsTerminal(), (1 + ENTRANTS.length) * 2 * vms);
  const results: StormFigures[] = [];
  const options = {
    vms,
    domids: 'sequential',
    progress: (done: number) => bar.update(results.length * 2 * vms + done),
  } as const;
  try {
    bar.name(OURS);
    results.push(await stormOfInventory({ ...options, name: OURS, atOnce: 1, openAgent: agentOf }));
    for (const entrant of ENTRANTS) {
      bar.name(entrant.name);
      // oxlint-disable-next-line no-await-in-loop -- one contestant after another
      results.push(await stormOfLists(entrant, options));
    }
  } finally {
    bar.stop();
  }
  io.out(
    json
      ? `${JSON.stringify({ vms, lookupsPerBoot: LOOKUPS_A_BOOT, results })}\n`
      : report(vms, results),
  );
  return ExitStatus.done;
}

function report(vms: number, results: readonly StormFigures[]): string {
  const notes = results
    .filter(({ boot }) => boot.vmsMeasured < vms)
    .map(
      ({ name, boot }) =>
        `${name}: measured at ${boot.vmsMeasured} of the ${vms} VMs, spread evenly, and scaled up.\n`,
    );
  return `${vms} VMs boot on a simulated host, each with ${LOOKUPS_A_BOOT} look-ups and one event to check:

${table(results.map(({ name, boot }) => ({ name, ...boot })))}

and shut down, each with one look-up and two events:

${table(results.map(({ name, shutdown }) => ({ name, ...shutdown })))}

Counted, not timed: hypercalls, the domains that they copied, requests to xenstore,
answers that named no domain or the wrong one. "list by N" lists all domains for each
look-up and each event, N a hypercall, until a page is empty ("to short page":
until a page is not full). xen-domid confirms each answer by a hypercall.
${notes.join('')}`;
}

function table(rows: readonly (Phase & { readonly name: string })[]): string {
  const [ours] = rows;
  const head = ['', 'hypercalls', 'of ours', 'copied', 'of ours', 'xenstore', 'wrong'];
  const cells = rows.map(({ name, hypercalls, domainsCopied, xenstoreRequests, wrong }) => [
    name,
    grouped(hypercalls),
    times(hypercalls, ours?.hypercalls),
    grouped(domainsCopied),
    times(domainsCopied, ours?.domainsCopied),
    grouped(xenstoreRequests),
    grouped(wrong),
  ]);
  const lines = [head, ...cells];
  const widths = head.map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0)),
  );
  const padded = lines.map((line) =>
    line.map((cell, column) => {
      const width = widths[column] ?? 0;
      return column === 0 ? cell.padEnd(width) : cell.padStart(width);
    }),
  );
  return padded.map((line) => line.join('  ')).join('\n');
}

function grouped(count: number): string {
  return count.toLocaleString('en-US');
}

function times(count: number, ours: number | undefined): string {
  return ours === undefined || ours === 0 || count === 0
    ? '-'
    : `${(count / ours).toLocaleString('en-US', { maximumSignificantDigits: 3 })}x`;
}
