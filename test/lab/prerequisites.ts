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

/** Programs that only some parts of the lab need, and their Debian packages. */
const MORE_PROGRAMS = {
  host: { mmdebstrap: 'mmdebstrap', mke2fs: 'e2fsprogs', 'nats-server': 'nats-server' },
  arm64: {
    'qemu-system-aarch64': 'qemu-system-arm',
    'aarch64-linux-gnu-gcc': 'gcc-aarch64-linux-gnu',
    'aarch64-linux-gnu-strip': 'binutils-aarch64-linux-gnu',
  },
} as const;
const ARM64_LIBC_HEADER = '/usr/aarch64-linux-gnu/include/sys/types.h';

/** Returns the Debian packages that are missing here, also those of a `part` that needs more than the cells of x86_64. */
export async function missingPackages(part?: keyof typeof MORE_PROGRAMS): Promise<string[]> {
  const missing = new Set<string>();
  const programs = { ...PROGRAMS, ...(part !== undefined && MORE_PROGRAMS[part]) };
  for (const [program, name] of Object.entries(programs)) {
    if (!(await isInstalled(program))) missing.add(name);
  }
  if (!(await can(LIBC_HEADER, constants.R_OK))) missing.add('libc6-dev');
  if (part === 'arm64' && !(await can(ARM64_LIBC_HEADER, constants.R_OK)))
    missing.add('libc6-dev-arm64-cross');
  return [...missing].toSorted();
}

/**
 * @param part the part of the lab that is needed apart from the cells of x86_64.
 * @throws Error with the command that installs missing packages.
 */
export async function checkPrerequisites(part?: keyof typeof MORE_PROGRAMS): Promise<void> {
  if (process.arch !== 'x64')
    throw new Error(
      `The lab boots Xen for x86_64, with this machine's node: it cannot be run on ${process.arch}.`,
    );
  const missing = await missingPackages(part);
  if (missing.length === 0) return;
  const who = process.getuid?.() === 0 ? 'Run' : 'As root, run';
  throw new Error(
    `The lab needs Debian packages that are not installed here. ${who}:\n` +
      `    apt-get update && apt-get install -y --no-install-recommends ${missing.join(' ')}`,
  );
}
