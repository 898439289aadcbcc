/** `npm run test:xen [-- RELEASE [DAEMON [SUITE]]]`: the suites in dom0 of every release with each daemon, two cells at a time. */
import { ALL_RELEASES, DAEMONS } from './release.ts';
import { chooseCells, runCells } from './run-cells.ts';

const USAGE = `usage: npm run test:xen [-- RELEASE [DAEMON [SUITE]]], or -- faults, churn, bundle or demo
RELEASE: ${ALL_RELEASES.join(', ')}; by default all of x86_64; DAEMON: ${DAEMONS.join(', ')}; both by default
SUITE: one of test/lab/suites, as hypervisor; all of them by default`;

async function main(args: readonly string[]): Promise<number> {
  const [release, daemon, suite] = args;
  const cells = args.length > 3 ? undefined : chooseCells(release, daemon);
  if (cells !== undefined) {
    return runCells(cells, { folder: 'suites', ...(suite !== undefined && { suite }) });
  }
  console.error(USAGE);
  return 2;
}

process.exitCode = await main(process.argv.slice(2));
