/** `npm run test:bundle`: installs the bundle in a dom0 whose own glibc is too old for Node, and tries it there. */
import { copyFile, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { writeCpio } from './cpio.ts';
import { withApt } from './debian.ts';
import { oldUserlandLayer } from './old-userland.ts';
import { checkPrerequisites } from './prerequisites.ts';
import { runSuites } from './suites.ts';

/** That of XCP-ng 8.3, with the daemon that it has. */
const CELL = { release: '4.17', daemon: 'oxenstored' } as const;
/** MiB: the archive and what it unpacks to are in memory. */
const MEMORY = 3072;

/** Puts the archive where the suite unpacks it. */
async function archiveLayer(scratch: string): Promise<string> {
  const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
  const name = `xen-domid-${version}-linux-x64.tar.gz`;
  await mkdir(join(scratch, 'layer', 'old'), { recursive: true });
  await copyFile(name, join(scratch, 'layer', 'old', 'bundle.tar.gz')).catch((cause: unknown) => {
    throw new Error(`${name} is not there: npm run bundle`, { cause });
  });
  await writeCpio(join(scratch, 'layer'), join(scratch, 'layer.cpio'));
  return join(scratch, 'layer.cpio');
}

async function main(): Promise<number> {
  await checkPrerequisites();
  const scratch = await mkdtemp(join(tmpdir(), 'xen-domid-bundle-'));
  const sweep = async (): Promise<void> => rm(scratch, { recursive: true, force: true });
  const layers = [await withApt(oldUserlandLayer), await archiveLayer(scratch)];
  const outputDir = join(scratch, 'output');
  const report = await runSuites({
    ...CELL,
    folder: 'bundle',
    layers,
    memory: MEMORY,
    outputDir,
  }).catch(async (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    return undefined;
  });
  if (report === undefined) return 1;
  for (const { name, message } of report.failures) console.log(`  ● ${name}\n\n${message}\n`);
  const { passed, failures, skips } = report;
  if (failures.length === 0) await sweep();
  else console.log(`console: ${join(outputDir, 'console.log')}`);
  console.log(`${passed} passed, ${failures.length} failed, ${skips.length} skipped`);
  return failures.length === 0 ? 0 : 1;
}

// Leaving by exit() is what sweeps up.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
process.exitCode = await main();
