/** The disk of a whole Debian host with systemd and Debian's Xen, made once by mmdebstrap and kept in the cache. */
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { copyFile, cp, mkdir, readFile, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';

import { cached } from '../cache.ts';
import { writeCpio } from '../cpio.ts';
import { dependencyOf, sourcesOf, unpack } from '../debian.ts';
import { addModule, moduleOrder } from '../kernel-modules.ts';
import { run } from '../run.ts';
import { hasNode, type DebianHost } from './host-release.ts';

const HERE = join('test', 'lab', 'host');
const DISK_SIZE = '1536M';

/** Loaded by the initramfs, in order to have a disk. */
const BOOT_MODULES = ['virtio_pci', 'virtio_blk', 'crc32c_generic', 'ext4'];
/** Loaded by Debian itself: by udev, by systemd or by the init script of Xen. */
const HOST_MODULES = [
  'xen-evtchn',
  'xen-privcmd',
  'xen-gntdev',
  'xen-gntalloc',
  'xenfs',
  'xen-netback',
  'xen-blkback',
  'virtio_console',
  'autofs4',
  'binfmt_misc',
  'configfs',
  'fuse',
  'loop',
  'tun',
  'bridge',
  'unix_diag',
];

function packagesOf({ debian, xen }: DebianHost): string[] {
  return [
    ['systemd-sysv', 'udev', 'kmod', 'procps', 'iproute2', 'dbus', 'ca-certificates'],
    [`xen-hypervisor-${xen}-amd64`, `xen-utils-${xen}`, 'xenstore-utils'],
    // For the tests: busybox is the initramfs, the others are clients that share nothing with the package.
    ['busybox-static', 'socat', 'curl'],
    hasNode(debian) ? ['nodejs'] : [],
  ].flat();
}

export interface HostImage {
  readonly hypervisor: string;
  readonly kernel: string;
  readonly initramfs: string;
  readonly disk: string;
}

async function makeRoot(host: DebianHost, root: string): Promise<void> {
  const excluded = ['man', 'locale', 'doc'].map(
    (name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`,
  );
  const options = ['--mode=root', '--variant=minbase', '--quiet', ...excluded];
  await run('mmdebstrap', [
    ...options,
    '--dpkgopt=force-unsafe-io',
    '--aptopt=Apt::Install-Recommends "false"',
    `--include=${packagesOf(host).join(',')}`,
    host.suite,
    root,
    ...(await sourcesOf(host.suite)),
  ]);
}

/** Puts the kernel's modules into `root`; returns the folder of those of the initramfs, and copies the kernel to `kernel`. */
async function addKernel(
  { suite }: DebianHost,
  root: string,
  scratch: string,
  kernel: string,
): Promise<string> {
  const unpacked = join(scratch, 'kernel');
  await unpack(suite, [await dependencyOf(suite, 'linux-image-amd64')], unpacked);
  const image = (await readdir(join(unpacked, 'boot'))).find((name) => name.startsWith('vmlinuz-'));
  if (image === undefined) throw new Error(`the kernel of ${suite} has no vmlinuz`);
  await copyFile(join(unpacked, 'boot', image), kernel);
  // Before trixie a kernel's modules are in /lib.
  const merged = join(unpacked, 'usr', 'lib', 'modules');
  const lib = existsSync(merged) ? merged : join(unpacked, 'lib', 'modules');
  const [version = ''] = await readdir(lib);
  const from = join(lib, version);
  const into = join(root, 'usr', 'lib', 'modules', version);
  await mkdir(into, { recursive: true });
  for (const file of await moduleOrder(from, [...BOOT_MODULES, ...HOST_MODULES])) {
    const target = join(into, relative(from, file));
    await mkdir(dirname(target), { recursive: true });
    await copyFile(file, target);
  }
  for (const name of await readdir(from))
    if (/^modules\.(builtin|order)/.test(name)) await copyFile(join(from, name), join(into, name));
  await run('/usr/sbin/chroot', [root, '/sbin/depmod', version]);
  return from;
}

async function makeInitramfs(modules: string, root: string, archive: string): Promise<void> {
  const layer = `${archive}.layer`;
  for (const folder of ['bin', 'dev', 'proc', 'sys', 'root', 'modules'])
    await mkdir(join(layer, folder), { recursive: true });
  await copyFile(join(root, 'usr', 'bin', 'busybox'), join(layer, 'bin', 'busybox'));
  const order: string[] = [];
  for (const file of await moduleOrder(modules, BOOT_MODULES)) {
    order.push(await addModule(file, join(layer, 'modules')));
  }
  await writeFile(join(layer, 'modules', 'order'), `${order.join('\n')}\n`);
  await copyFile(join(HERE, 'init.sh'), join(layer, 'init'));
  await run('chmod', ['755', join(layer, 'init')]);
  await writeCpio(layer, archive);
  await rm(layer, { recursive: true });
}

/** This machine's npm, and its Node for Debian 12, which has too old a one: as another vendor's package has them. */
async function addNode({ debian }: DebianHost, root: string): Promise<void> {
  if (!hasNode(debian))
    await copyFile(await realpath(process.execPath), join(root, 'usr', 'bin', 'node'));
  const npm = dirname(dirname(await realpath((await run('which', ['npm'])).trim())));
  const target = join(root, 'usr', 'lib', 'node_modules', 'npm');
  await mkdir(dirname(target), { recursive: true });
  await cp(npm, target, { recursive: true, verbatimSymlinks: true });
  await run('ln', ['-sf', '../lib/node_modules/npm/bin/npm-cli.js', join(root, 'usr/bin/npm')]);
}

/** Debian with its Xen, as its packages leave it: `root`, `xen`, `vmlinuz` and `initramfs.cpio` in a folder of the cache. */
async function debianRoot(host: DebianHost): Promise<string> {
  const init = await readFile(join(HERE, 'init.sh'), 'utf8');
  const packages = packagesOf(host);
  const { debian, xen } = host;
  const ingredients = { debian, xen, packages, BOOT_MODULES, HOST_MODULES, init, layout: 1 };
  return cached(`host-root-${host.suite}`, ingredients, async (directory) => {
    const root = join(directory, 'root');
    const scratch = join(directory, 'scratch');
    await makeRoot(host, root);
    const boot = join(root, 'boot');
    const packed = (await readdir(boot)).find((name) => /^xen-[\d.]+.*-amd64\.gz$/.test(name));
    if (packed === undefined) throw new Error(`Debian ${host.debian} has no hypervisor in /boot`);
    const hypervisor = createWriteStream(join(directory, 'xen'));
    await pipeline(createReadStream(join(boot, packed)), createGunzip(), hypervisor);
    const modules = await addKernel(host, root, scratch, join(directory, 'vmlinuz'));
    await makeInitramfs(modules, root, join(directory, 'initramfs.cpio'));
    await rm(scratch, { recursive: true });
  });
}

/** Makes the disk of a host from the unpacked Debian `debian`. */
async function makeDisk(host: DebianHost, debian: string, disk: string): Promise<void> {
  const root = `${disk}.root`;
  await run('cp', ['-a', debian, root]);
  await addNode(host, root);
  await run('sh', [join(HERE, 'setup.sh'), root]);
  // The kernel is told to trust its emulated disk: no journal, no sums.
  const features = '^has_journal,^metadata_csum';
  await run('/sbin/mke2fs', ['-q', '-t', 'ext4', '-O', features, '-d', root, disk, DISK_SIZE]);
  await rm(root, { recursive: true });
}

/** The image of `host`, from the cache or made now, which takes some minutes. */
export async function hostImage(host: DebianHost): Promise<HostImage> {
  const debian = await debianRoot(host);
  const setup = await readFile(join(HERE, 'setup.sh'), 'utf8');
  const ingredients = { debian, setup, DISK_SIZE, node: process.version, layout: 1 };
  const disk = await cached(`host-disk-${host.suite}`, ingredients, (directory) =>
    makeDisk(host, join(debian, 'root'), join(directory, 'disk.img')),
  );
  return {
    hypervisor: join(debian, 'xen'),
    kernel: join(debian, 'vmlinuz'),
    initramfs: join(debian, 'initramfs.cpio'),
    disk: join(disk, 'disk.img'),
  };
}
