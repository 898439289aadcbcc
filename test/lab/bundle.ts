/** `npm run test:xen -- bundle`: installs the bundle in a dom0 with a glibc that is too old for Node, and tests it there. */
import { rmSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { writeCpio } from './cpio.ts';
import { withApt } from './debian.ts';
import { oldUserlandLayer } from './old-userland.ts';
import { runCells } from './run-cells.ts';

/** The Xen release and daemon of XCP-ng 8.3. */
const CELL = { release: '4.17', daemon: 'oxenstored' } as const;
/** MiB: the archive and its unpacked files are in memory. */
const MEMORY = 3072;

/** Puts the archive where the suite expects it. */
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

const scratch = await mkdtemp(join(tmpdir(), 'xen-domid-bundle-'));
process.once('exit', () => rmSync(scratch, { recursive: true, force: true }));
const layers = [await withApt(oldUserlandLayer), await archiveLayer(scratch)];
process.exitCode = await runCells([CELL], { folder: 'bundle', layers, memory: MEMORY });
