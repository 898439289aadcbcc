/**
 * The userland of a dom0 that is too old for Node, in dom0's folder `/old`. Its layout is that of CentOS 7: all
 * libraries in `/usr/lib64`, found by `/etc/ld.so.cache`. Debian packages neither CentOS 7 nor a glibc as old; so
 * this is Debian 11's glibc (2.31) without the names of versions after 2.17: programs that require one of them do
 * not start.
 */
import { mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { cached } from './cache.ts';
import { writeCpio } from './cpio.ts';
import { unpack } from './debian.ts';
import { run } from './run.ts';

const SUITE = 'bullseye';
const GLIBC = ['libc6', 'libgcc-s1', 'libstdc++6', 'libcrypt1'];
/** Xen's libraries of the host, a shell on the old glibc, and a static busybox. */
const PACKAGES = [
  ...GLIBC,
  'libxencall1',
  'libxentoolcore1',
  'libxentoollog1',
  'dash',
  'busybox-static',
];
/** Programs that the installation of the bundle uses, typed or in its script. */
const APPLETS = ['cat', 'env', 'ln', 'mkdir', 'readlink', 'sha256sum', 'tar'];
const NEWER_THAN_2_17 = /GLIBC_2\.(?:1[89]|2\d|3\d)(?=\0)/g;

/** Overwrites the names of newer versions with unused names of the same length. */
async function forgetNewVersions(library: string): Promise<void> {
  const text = await readFile(library, 'latin1');
  const old = text.replace(NEWER_THAN_2_17, (name) => name.replace('GLIBC_2', 'GLIBC_X'));
  await writeFile(library, old, 'latin1');
}

async function build(directory: string): Promise<void> {
  const unpacked = join(directory, 'unpacked');
  const old = join(directory, 'layer', 'old');
  const libraries = join(old, 'usr', 'lib64');
  await unpack(SUITE, PACKAGES, unpacked);
  for (const folder of ['usr/bin', 'usr/lib64', 'etc', 'var', 'dev', 'proc', 'run', 'tmp', 'opt'])
    await mkdir(join(old, folder), { recursive: true });
  await mkdir(join(old, 'usr/local/bin'), { recursive: true });
  await symlink('usr/bin', join(old, 'bin'));
  await symlink('usr/lib64', join(old, 'lib64'));
  await symlink('../run', join(old, 'var/run'));
  for (const place of ['lib', 'usr/lib']) {
    const from = join(unpacked, place, 'x86_64-linux-gnu');
    for (const name of await readdir(from))
      if (/\.so(\.|$)/.test(name)) await rename(join(from, name), join(libraries, name));
  }
  // Its link is an absolute path.
  await rm(join(libraries, 'ld-linux-x86-64.so.2'), { force: true });
  await symlink('ld-2.31.so', join(libraries, 'ld-linux-x86-64.so.2'));
  await forgetNewVersions(join(libraries, 'libc-2.31.so'));
  for (const name of ['dash', 'busybox'])
    await rename(join(unpacked, 'bin', name), join(old, 'usr/bin', name));
  await symlink('dash', join(old, 'usr/bin/sh'));
  for (const applet of APPLETS) await symlink('busybox', join(old, 'usr/bin', applet));
  await writeFile(join(old, 'etc/ld.so.conf'), '/usr/lib64\n');
  await run('/sbin/ldconfig', ['-r', old]);
  await rm(unpacked, { recursive: true });
  await writeCpio(join(directory, 'layer'), join(directory, 'layer.cpio'));
}

/** Its archive, for {@link runCell}. */
export async function oldUserlandLayer(): Promise<string> {
  const ingredients = { SUITE, PACKAGES, APPLETS, names: NEWER_THAN_2_17.source, layout: 1 };
  return join(await cached('old-userland', ingredients, build), 'layer.cpio');
}
