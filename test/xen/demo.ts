/** `npm run demo:xen`: boots a real Xen with twenty VMs in an emulator, and shows what xen-domid answers there. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { runCell, type Phase } from './cell.ts';
import { DEMO_LINE } from './demo-line.ts';
import { checkPrerequisites } from './prerequisites.ts';
import { StatusLine } from './status-line.ts';

const RELEASE = '4.17';
const VMS = 20;

const STEPS: Record<Phase, string> = {
  image: `making an image of Xen ${RELEASE} from Debian's packages; the first time takes a minute or two`,
  boot: `booting Xen ${RELEASE} and its dom0 in an emulator`,
  payload: `starting ${VMS} VMs`,
  result: 'switching it off',
};

async function demonstrate(outputDir: string): Promise<void> {
  const status = new StatusLine(process.stdout);
  let started = 0;
  let answering = false;
  const show = (text: string): void => {
    if (!answering) status.clear();
    answering = true;
    console.log(text);
  };
  const { status: exit, consoleLog } = await runCell({
    release: RELEASE,
    daemon: 'xenstored',
    payload: ['node', 'dist/test/xen/demo-in-dom0.js'],
    outputDir,
    onPhase: (phase) => {
      if (!answering) status.step(STEPS[phase]);
    },
    onConsoleLine: (line) => {
      if (!line.startsWith(DEMO_LINE)) return;
      const text = line.slice(DEMO_LINE.length);
      if (text.startsWith('+ ')) {
        started += 1;
        status.update(`starting VM ${started} of ${VMS}: ${text.slice(2)}`);
      } else show(text);
    },
  }).finally(() => status.clear());
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

// Leaving by exit() is what sweeps up.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
