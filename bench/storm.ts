/** `npm run bench storm`: counts the work of all ways to look up on a simulated host, during boots, shutdowns, steady state and moves. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ProgressBar } from '../src/cli/terminal/progress.ts';
import { agentOf, stormOfInventory } from '../src/storm/inventory-storm.ts';
import { ENTRANTS, stormOfLists } from '../src/storm/list-storm.ts';
import {
  LOOKUPS_A_BOOT,
  LOOKUPS_BEFORE_INTRODUCTION,
  OURS,
  type Phase,
} from '../src/storm/work.ts';
import { machine } from './machine.ts';
import type { Quantiles } from './quantiles.ts';
import { openSocketAgent, type SocketAgent } from './storm-agent.ts';
import { type MoveFigures, movesOfEntrant, movesOfInventory } from './storm-moves.ts';
import { OURS_OVER_SOCKET, type Storm, STORM_RESULT, type StormReport } from './storm-result.ts';
import { steadyOfEntrant, steadyOfInventory, type SteadyFigures } from './storm-steady.ts';
import { printTable } from './table.ts';

const VMS = [100, 1000, 10_000, 30_000];
const VMS_STEADY = [1000, 30_000];
const VMS_MOVING = [1000, 10_000];
const DOMIDS = ['sequential', 'random'] as const;
const SIDE_BY_SIDE = 16;
/** With more VMs it takes minutes, because each needs a list, and lists take at most a fifth of the time. */
const MOST_RANDOM_ONE_BY_ONE = 1000;
/** Look-ups from another process take a hundred times as long and make the same calls. */
const MOST_OVER_SOCKET = 1000;

const storms: Storm[] = [];
const steady: SteadyFigures[] = [];
const moves: MoveFigures[] = [];

interface Job {
  readonly name: string;
  readonly run: (progress: (share: number) => void) => Promise<void>;
}

const jobs: Job[] = [];
for (const domids of DOMIDS) {
  for (const vms of VMS) {
    for (const entrant of ENTRANTS) {
      jobs.push({
        name: `${entrant.name}, ${vms} VMs`,
        run: async (progress) => {
          const options = { vms, domids, progress: (done: number) => progress(done / (2 * vms)) };
          storms.push({ vms, domids, atOnce: 1, ...(await stormOfLists(entrant, options)) });
        },
      });
    }
    if (domids === 'sequential' || vms <= MOST_RANDOM_ONE_BY_ONE) {
      jobs.push(stormOfOurs(vms, domids, 1));
    }
    if (domids === 'random' || vms <= 1000) jobs.push(stormOfOurs(vms, domids, SIDE_BY_SIDE));
    if (vms <= MOST_OVER_SOCKET) jobs.push(stormOverSocket(vms, domids, 1));
  }
  for (const vms of VMS_STEADY) {
    for (const entrant of ENTRANTS) {
      jobs.push({
        name: `${entrant.name}, steady state of ${vms} VMs`,
        run: async () => void steady.push(await steadyOfEntrant(entrant, { vms, domids })),
      });
    }
    jobs.push({
      name: `${OURS}, steady state of ${vms} VMs`,
      run: async () => void steady.push(await steadyOfInventory(OURS, { vms, domids })),
    });
  }
  for (const vms of VMS_MOVING) {
    for (const entrant of ENTRANTS) {
      jobs.push({
        name: `${entrant.name}, moves among ${vms} VMs`,
        run: async () => void moves.push(await movesOfEntrant(entrant, { vms, domids })),
      });
    }
    jobs.push({
      name: `${OURS}, moves among ${vms} VMs`,
      run: async () => void moves.push(await movesOfInventory(OURS, { vms, domids })),
    });
  }
}

function stormOfOurs(vms: number, domids: Storm['domids'], atOnce: number): Job {
  return {
    name: `${OURS}, ${vms} VMs, ${atOnce} at once`,
    run: async (progress) => {
      const figures = await stormOfInventory({
        name: OURS,
        vms,
        domids,
        atOnce,
        openAgent: agentOf,
        progress: (done) => progress(done / (2 * vms)),
      });
      storms.push({ vms, domids, atOnce, ...figures });
    },
  };
}

function stormOverSocket(vms: number, domids: Storm['domids'], atOnce: number): Job {
  return {
    name: `${OURS_OVER_SOCKET}, ${vms} VMs`,
    run: async (progress) => {
      let tookUs: Quantiles = [];
      const figures = await stormOfInventory({
        name: OURS_OVER_SOCKET,
        vms,
        domids,
        atOnce,
        openAgent: async (inventory) => {
          const agent: SocketAgent = await openSocketAgent(inventory);
          const close = async (): Promise<void> => {
            tookUs = await agent.tookUs();
            await agent.close();
          };
          return { ...agent, close };
        },
        progress: (done) => progress(done / (2 * vms)),
      });
      storms.push({ vms, domids, atOnce, ...figures, tookUs });
    },
  };
}

const SHARES_A_JOB = 100;
const bar = new ProgressBar(process.stdout.isTTY, jobs.length * SHARES_A_JOB);
try {
  for (const [done, { name, run }] of jobs.entries()) {
    bar.name(name);
    // oxlint-disable-next-line no-await-in-loop -- one job after the other
    await run((share) => bar.update((done + share) * SHARES_A_JOB));
  }
} finally {
  bar.stop();
}

const report: StormReport = {
  machine: machine(),
  lookupsABoot: LOOKUPS_A_BOOT,
  storms,
  steady,
  moves,
};
await mkdir(dirname(STORM_RESULT), { recursive: true });
await writeFile(STORM_RESULT, `${JSON.stringify(report, undefined, 1)}\n`);

const count = (value: number): string =>
  value.toLocaleString('en-US', { maximumFractionDigits: 2 });
const aVm = (value: number, vms: number): string =>
  (value / vms).toLocaleString('en-US', { maximumSignificantDigits: 4 });

for (const [phase, title] of [
  [
    'boot',
    `Boot: ${LOOKUPS_A_BOOT} look-ups a VM, ${LOOKUPS_BEFORE_INTRODUCTION} of them before its introduction, and an event`,
  ],
  ['shutdown', 'End: one look-up a VM, and two events'],
] as const) {
  const of = (storm: Storm): Phase => storm[phase];
  printTable(`${title}; per VM`, storms, {
    way: ({ name }) => name,
    VMs: ({ vms }) => count(vms),
    domids: ({ domids }) => domids,
    'at once': ({ atOnce }) => count(atOnce),
    hypercalls: (storm) => aVm(of(storm).hypercalls, storm.vms),
    lists: (storm) => aVm(of(storm).lists, storm.vms),
    'domains copied': (storm) => aVm(of(storm).domainsCopied, storm.vms),
    'xenstore requests': (storm) => aVm(of(storm).xenstoreRequests, storm.vms),
    'wrong answers': (storm) => `${count(of(storm).wrong)} of ${count(of(storm).answers)}`,
    sample: (storm) =>
      of(storm).vmsMeasured === storm.vms ? 'all' : `${count(of(storm).vmsMeasured)} VMs`,
  });
}
printTable(
  'Steady state: each second one VM starts, one ends, and a UUID is looked up that no VM has',
  steady,
  {
    way: ({ name }) => name,
    VMs: ({ vms }) => count(vms),
    domids: ({ domids }) => domids,
    'hypercalls a second': ({ hypercalls }) => count(hypercalls),
    lists: ({ lists }) => count(lists),
    'domains copied': ({ domainsCopied }) => count(domainsCopied),
    'xenstore requests': ({ xenstoreRequests }) => count(xenstoreRequests),
    'wrong answers': ({ wrong, answers }) => `${count(wrong)} of ${count(answers)}`,
    seconds: ({ seconds }) => count(seconds),
  },
);
printTable('A VM that moves to another domid while it is looked up', moves, {
  way: ({ name }) => name,
  VMs: ({ vms }) => count(vms),
  domids: ({ domids }) => domids,
  '"no such VM"': ({ missed }) => count(missed),
  'named a domain that was gone': ({ gone }) => count(gone),
  'of look-ups': ({ lookups }) => count(lookups),
});
process.stdout.write(`\nWritten to ${STORM_RESULT}.\n`);
