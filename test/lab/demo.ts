/** `npm run test:xen -- demo`: boots a real Xen with twenty VMs in an emulator, and shows the service there. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { runCell, type Phase } from './cell.ts';
import { Screen } from '../../src/cli/terminal/screen.ts';
import { type DemoSaid, readDemoLine } from './demo-line.ts';
import { checkPrerequisites } from './prerequisites.ts';
import { StatusLine } from './status-line.ts';

const RELEASE = '4.17';
const VMS = 20;
/** Screens of the demonstration, one each second. */
const SCREENS = 40;
const SHOW_CURSOR = '\u001b[?25h';
const LINES_IN_PIPE = 12;

const STEPS: Record<Phase, string> = {
  image: `making an image of Xen ${RELEASE} from Debian's packages; the first time takes a minute or two`,
  boot: `booting Xen ${RELEASE} and its dom0 in an emulator`,
  payload: `starting ${VMS} VMs`,
  result: 'switching it off',
};

async function demonstrate(outputDir: string): Promise<void> {
  const status = new StatusLine(process.stdout);
  let started = 0;
  let screen: Screen | undefined;
  let drawing = '';
  const take = ({ kind, text }: DemoSaid): void => {
    if (kind === 'starting') {
      started += 1;
      status.update(`starting VM ${started} of ${VMS}: ${text}`);
    } else if (kind === 'screen') {
      drawing += `${text}\n`;
    } else if (kind === 'shown') {
      if (screen === undefined) status.clear();
      screen ??= new Screen((shown) => process.stdout.write(shown));
      if (process.stdout.isTTY) screen.draw(drawing.trimEnd().split('\n'));
      else process.stdout.write(`${text}\n`);
      drawing = '';
    } else {
      process.stdout.write(`${text}\n`);
    }
  };
  const { status: exit, consoleLog } = await runCell({
    release: RELEASE,
    daemon: 'xenstored',
    payload: ['node', 'dist/test/lab/demo-in-dom0.js'],
    env: { XEN_DOMID_DEMO_SCREENS: String(process.stdout.isTTY ? SCREENS : LINES_IN_PIPE) },
    outputDir,
    onPhase: (phase) => {
      if (screen === undefined) status.step(STEPS[phase]);
    },
    onConsoleLine: (line) => {
      const said = readDemoLine(line);
      if (said !== undefined) take(said);
    },
  }).finally(() => {
    status.clear();
    screen?.close();
  });
  if (exit !== 0)
    throw new Error(`the demonstration ended with ${exit}; its console: ${consoleLog}`);
  console.log('\nThat was a real Xen. It is switched off again, and nothing was installed.');
}

async function main(): Promise<void> {
  await checkPrerequisites();
  const outputDir = await mkdtemp(join(tmpdir(), 'xen-domid-demo-'));
  await demonstrate(outputDir);
  await rm(outputDir, { recursive: true });
}

// exit() runs the cleanup handlers.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
process.once('exit', () => {
  if (process.stdout.isTTY) process.stdout.write(SHOW_CURSOR);
});
await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
