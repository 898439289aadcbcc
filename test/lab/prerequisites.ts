/** Requirements of the machine for making a cell. */
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';

/** Program -> its Debian package. */
const PROGRAMS = {
  'qemu-system-x86_64': 'qemu-system-x86',
  cpio: 'cpio',
  gcc: 'gcc',
  ocamlopt: 'ocaml',
  ld: 'binutils',
  strings: 'binutils',
  xz: 'xz-utils',
  'apt-get': 'apt',
  dpkg: 'dpkg',
  tar: 'tar',
  setpriv: 'util-linux',
  curl: 'curl',
} as const;

const LIBC_HEADER = '/usr/include/x86_64-linux-gnu/sys/types.h';

async function can(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}

async function isInstalled(program: string): Promise<boolean> {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin'];
  const found = await Promise.all(
    folders.map((folder) => can(join(folder, program), constants.X_OK)),
  );
  return found.includes(true);
}

/** Programs that only the whole host needs, and their Debian packages. */
const OF_HOST: Readonly<Record<string, string>> = { mmdebstrap: 'mmdebstrap', mke2fs: 'e2fsprogs' };

/** Returns the Debian packages that are missing here. */
export async function missingPackages(forHost: boolean = false): Promise<string[]> {
  const missing = new Set<string>();
  for (const [program, name] of Object.entries({ ...PROGRAMS, ...(forHost && OF_HOST) })) {
    if (!(await isInstalled(program))) missing.add(name);
  }
  if (!(await can(LIBC_HEADER, constants.R_OK))) missing.add('libc6-dev');
  return [...missing].toSorted();
}

/** @throws Error with the command that installs missing packages. */
export async function checkPrerequisites(): Promise<void> {
  if (process.arch !== 'x64')
    throw new Error(
      `The lab boots Xen for x86_64, with this machine's node: it cannot be run on ${process.arch}.`,
    );
  const missing = await missingPackages();
  if (missing.length === 0) return;
  const who = process.getuid?.() === 0 ? 'Run' : 'As root, run';
  throw new Error(
    `The lab needs Debian packages that are not installed here. ${who}:\n` +
      `    apt-get update && apt-get install -y --no-install-recommends ${missing.join(' ')}`,
  );
}
