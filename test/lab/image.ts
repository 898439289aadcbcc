/** The layers of dom0's initramfs. Each is a cpio archive in the cache; Linux unpacks them one over the other. */
import { createWriteStream } from 'node:fs';
import {
  appendFile,
  chmod,
  copyFile,
  cp,
  mkdir,
  readFile,
  readdir,
  realpath,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { createReadStream, lstatSync } from 'node:fs';

import { compilerOf, curlOfArm64, librariesOf, nodeOfArm64 } from './arm64.ts';
import { cached } from './cache.ts';
import { writeCpio } from './cpio.ts';
import { dependencyOf, machineSuite, newerSuite, unpack } from './debian.ts';
import { addModule, moduleOrder } from './kernel-modules.ts';
import {
  type Architecture,
  architectureOf,
  packagesOf,
  type Release,
  suiteOf,
  xenOf,
} from './release.ts';
import { run } from './run.ts';

const LIBC = ['libc6', 'libgcc-s1', 'libstdc++6'] as const;
/** Modules in Debian's kernel: the first five are Xen's, the others drive the disk for results and the network. */
const KERNEL_MODULES = [
  'xen-evtchn',
  'xen-privcmd',
  'xen-gntdev',
  'xen-gntalloc',
  'xenfs',
  'virtio_pci',
  'virtio_blk',
  'virtio_net',
];

/** Folders of the packages that dom0 does not need: each byte of the image is unpacked under emulation. */
const NOT_IN_DOM0 = ['usr/share', 'usr/include', 'usr/lib/debug', 'usr/lib/python3', 'boot'];

/** Where the C, assembly and shell sources lie: they are read from the repository, not from `dist`. */
const SOURCES: string = join('test', 'lab');
/** The readers of tables, and the programs that run them. */
const CLIENTS: string = join('docs', 'clients');
const READERS: string = join('test', 'table', 'readers');

export interface Image {
  readonly architecture: Architecture;
  readonly hypervisor: string;
  readonly kernel: string;
  /** In the order of unpacking. */
  readonly layers: readonly string[];
}

/** Debian before trixie has some files in /lib and some in /usr/lib: merge them into one tree. */
async function mergeUsr(root: string): Promise<void> {
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
    const folder = join(root, name);
    const stat = lstatSync(folder, { throwIfNoEntry: false });
    await mkdir(join(root, 'usr', name), { recursive: true });
    if (stat?.isDirectory()) {
      await run('cp', ['-a', `${folder}/.`, join(root, 'usr', name)]);
      await rm(folder, { recursive: true });
    }
    if (!stat?.isSymbolicLink()) await symlink(join('usr', name), folder);
  }
}

async function kernelLayer(release: Release): Promise<string> {
  const architecture = architectureOf(release);
  const suite = architecture === 'arm64' ? suiteOf(release) : await machineSuite();
  const ingredients = { suite, architecture, KERNEL_MODULES, layout: 3 };
  return cached('kernel', ingredients, async (directory) => {
    const root = join(directory, 'root');
    const kernel = await dependencyOf(suite, `linux-image-${architecture}`, architecture);
    await unpack(suite, [kernel], root, architecture);
    await mergeUsr(root);
    const image = (await readdir(join(root, 'boot'))).find((name) => name.startsWith('vmlinuz-'));
    if (image === undefined) throw new Error(`${kernel} holds no vmlinuz`);
    await copyFile(join(root, 'boot', image), join(directory, 'vmlinuz'));
    const modules = join(directory, 'layer', 'usr', 'lib', 'modules');
    await mkdir(modules, { recursive: true });
    for (const file of await moduleOrder(join(root, 'usr', 'lib', 'modules'), KERNEL_MODULES)) {
      const name = await addModule(file, modules);
      await appendFile(join(modules, 'order'), `/usr/lib/modules/${name}\n`);
    }
    await rm(root, { recursive: true });
    await writeCpio(join(directory, 'layer'), join(directory, 'layer.cpio'));
  });
}

/** Copies the hypervisor of `boot`, which is packed on x86_64, to `target`. */
async function addHypervisor(boot: string, target: string): Promise<void> {
  const name = (await readdir(boot)).find((file) => /^xen-[\d.]+-(amd64\.gz|arm64)$/.test(file));
  if (name === undefined) throw new Error(`no hypervisor in ${boot}`);
  const source = createReadStream(join(boot, name));
  if (name.endsWith('.gz')) await pipeline(source, createGunzip(), createWriteStream(target));
  else await pipeline(source, createWriteStream(target));
}

async function debianLayer(release: Release): Promise<string> {
  const suite = suiteOf(release);
  const architecture = architectureOf(release);
  const packages = packagesOf(release);
  const machine = await machineSuite();
  const ingredients = { release, suite, machine, packages, LIBC, NOT_IN_DOM0, layout: 2 };
  return cached(`debian-${release}`, ingredients, async (directory) => {
    const root = join(directory, 'root');
    // This machine's node and compiler output require its own glibc, or a newer one.
    const libcSuite = await newerSuite(suite, machine);
    await unpack(suite, packages, root, architecture);
    await unpack(libcSuite, LIBC, root, architecture);
    await mergeUsr(root);
    await addHypervisor(join(root, 'boot'), join(directory, 'xen'));
    await cp(join(root, 'usr', 'include'), join(directory, 'sdk', 'include'), { recursive: true });
    const libraries = join(root, librariesOf(architecture));
    await run('cp', ['-a', libraries, join(directory, 'sdk', 'lib')]);
    await rm(join(libraries, 'gconv'), { recursive: true, force: true });
    for (const path of NOT_IN_DOM0) await rm(join(root, path), { recursive: true, force: true });
    await run('find', [libraries, '-name', '*.a', '-delete']);
    await writeCpio(root, join(directory, 'layer.cpio'));
    await rm(root, { recursive: true });
  });
}

/** Copies the libraries of `program`, without those of glibc's own packages. */
async function copyLibraries(program: string, into: string): Promise<void> {
  const inLibc = /\/(ld-linux-x86-64|lib(c|m|dl|rt|resolv|pthread|stdc\+\+|gcc_s))\.so\.\d+$/;
  await mkdir(into, { recursive: true });
  for (const [, path] of (await run('ldd', [program])).matchAll(/=> (\/\S+)/g)) {
    if (path === undefined || inLibc.test(path)) continue;
    await copyFile(path, join(into, basename(path)));
  }
}

/** This machine's node. */
async function nodeLayer(): Promise<string> {
  const node = await realpath(process.execPath);
  const ingredients = { node, version: process.version, suite: await machineSuite(), layout: 1 };
  return cached('node', ingredients, async (directory) => {
    const bin = join(directory, 'layer', 'usr', 'bin');
    await mkdir(bin, { recursive: true });
    await copyFile(node, join(bin, 'node'));
    await copyLibraries(node, join(directory, 'layer', librariesOf('amd64')));
    await writeCpio(join(directory, 'layer'), join(directory, 'layer.cpio'));
  });
}

/** This machine's curl, an independent client. Its libraries are separate, because the release has some of them too. */
async function curlLayer(): Promise<string> {
  const curl = (await run('sh', ['-c', 'command -v curl'])).trim();
  const ingredients = { version: await run(curl, ['--version']), layout: 1 };
  return cached('curl', ingredients, async (directory) => {
    const folder = join(directory, 'layer', 'usr', 'lib', 'xen-domid-lab-curl');
    await copyLibraries(curl, folder);
    await copyFile(curl, join(folder, 'curl'));
    await writeCpio(join(directory, 'layer'), join(directory, 'layer.cpio'));
  });
}

/** The release's own Python, in which the module of its xen-utils can be loaded. */
async function pythonLayer(release: Release): Promise<string> {
  const suite = suiteOf(release);
  const ingredients = { suite, NOT_IN_DOM0, layout: 1 };
  return cached(`python-${release}`, ingredients, async (directory) => {
    const root = join(directory, 'root');
    const stdlib = await dependencyOf(suite, 'libpython3-stdlib');
    const python = stdlib.replace(/^lib(.*)-stdlib$/, '$1');
    const packages = [`${python}-minimal`, `lib${python}-minimal`, stdlib, 'libexpat1'];
    await unpack(suite, packages, root);
    await mergeUsr(root);
    for (const path of NOT_IN_DOM0) await rm(join(root, path), { recursive: true, force: true });
    const library = join(root, 'usr', 'lib', python);
    for (const unused of [
      'asyncio',
      'ensurepip',
      'idlelib',
      'lib2to3',
      'multiprocessing',
      'pydoc_data',
    ]) {
      await rm(join(library, unused), { recursive: true, force: true });
    }
    await rm(join(root, 'etc'), { recursive: true, force: true });
    await symlink(python, join(root, 'usr', 'bin', 'python3'));
    await writeCpio(root, join(directory, 'layer.cpio'));
    await rm(root, { recursive: true });
  });
}

interface Source {
  readonly name: string;
  readonly text: string;
}

async function readSources(folder: string): Promise<Source[]> {
  const names = (await readdir(folder)).toSorted();
  return Promise.all(
    names.map(async (name) => ({ name, text: await readFile(join(folder, name), 'utf8') })),
  );
}

/** libxenctrl's header has no version to ask: 4.18 replaced xc_domain_getinfo. */
function apiOf(release: Release): string[] {
  return xenOf(release) === '4.20' ? ['-DLAB_HAS_GETINFO_SINGLE'] : [];
}

/** Compiles one source of `c/`: a program for this release's libxenctrl, or a guest's kernel. */
async function compile(release: Release, source: string, into: string, sdk: string): Promise<void> {
  const [name = '', kind] = basename(source).split('.');
  const architecture = architectureOf(release);
  const compiler = compilerOf(architecture);
  const target = join(into, name.replace('-arm64', ''));
  if (kind === 'c') {
    const options = [
      ['-O2', '-Wall', '-Werror', ...apiOf(release), '-o', target, source],
      ['-isystem', join(sdk, 'include'), '-L', join(sdk, 'lib')],
      ['-lxenctrl', '-lxenguest', '-lxenstore', '-lxenforeignmemory', '-lxencall'],
      // The libraries may require a newer glibc than this machine's; dom0 has it.
      ['-Wl,--unresolved-symbols=ignore-in-shared-libs'],
    ];
    await run(compiler, options.flat());
  } else if (kind === 'S' && name.endsWith('-arm64') !== (architecture === 'arm64')) {
    // A guest of the other architecture.
  } else if (kind === 'S' && architecture === 'arm64') {
    const linked = `${into}.${name}`;
    const options = ['-nostdlib', '-static', '-Wl,-Ttext=0', '-Wl,--build-id=none'];
    await run(compiler, [...options, '-o', linked, source]);
    await run('aarch64-linux-gnu-objcopy', ['-O', 'binary', linked, target]);
    await rm(linked);
  } else if (kind === 'S') {
    const mode = name.startsWith('pvh') ? ['-m32', '-Wl,-m,elf_i386'] : ['-m64'];
    const script = join(SOURCES, 'c', 'unikernel.lds');
    const options = [
      mode,
      ['-nostdlib', '-static', '-no-pie', '-Wl,--build-id=none'],
      ['-Wl,-T', script, '-o', target, source],
    ];
    await run(compiler, options.flat());
  }
}

/** Makes the readers of tables in OCaml and Python. In OCaml, libxenctrl confirms: Debian has no Xenctrl for it. */
async function makeReaders(into: string, sdk: string): Promise<void> {
  await copyFile(join(CLIENTS, 'xen_domid_table.py'), join(into, 'xen_domid_table.py'));
  await copyFile(join(READERS, 'reader.py'), join(into, 'table.py'));
  // The compiler writes next to its sources.
  const scratch = `${into}.ocaml`;
  await mkdir(scratch);
  const sources = ['xen_domid_table.ml', 'reader.ml', 'by_xen_stub.c', 'by_xen.ml'];
  for (const name of [...sources, 'xen_domid.h']) {
    const folder = name.startsWith('xen_domid') ? CLIENTS : READERS;
    await copyFile(join(folder, name), join(scratch, name));
  }
  const options = [
    ['-I', '+unix', 'unix.cmxa', ...sources, '-o', join(into, 'table-ocaml')],
    ['-ccopt', `-isystem ${join(sdk, 'include')} -L${join(sdk, 'lib')}`, '-cclib', '-lxenctrl'],
    ['-ccopt', '-Wl,--unresolved-symbols=ignore-in-shared-libs'],
  ];
  await run('ocamlopt', options.flat(), { cwd: scratch });
  await rm(scratch, { recursive: true });
}

async function toolsLayer(release: Release, debian: string): Promise<string> {
  const sources = await readSources(join(SOURCES, 'c'));
  const scripts = await Promise.all(
    ['init.sh', 'xenstored.sh'].map((name) => readFile(join(SOURCES, name), 'utf8')),
  );
  // The readers of tables are made of these.
  const included = await Promise.all([CLIENTS, READERS].map((folder) => readSources(folder)));
  const ingredients = {
    release,
    debian: basename(debian),
    sources,
    scripts,
    included,
    layout: 2,
  };
  return cached(`tools-${release}`, ingredients, async (directory) => {
    const layer = join(directory, 'layer');
    const programs = join(layer, 'usr', 'lib', 'xen-domid-lab');
    await mkdir(programs, { recursive: true });
    for (const { name } of sources) {
      await compile(release, join(SOURCES, 'c', name), programs, join(debian, 'sdk'));
    }
    if (architectureOf(release) === 'amd64') await makeReaders(programs, join(debian, 'sdk'));
    const [init = '', xenstored = ''] = scripts;
    await writeFile(join(layer, 'init'), init);
    await writeFile(join(programs, 'lab-xenstored'), xenstored);
    await chmod(join(layer, 'init'), 0o755);
    await chmod(join(programs, 'lab-xenstored'), 0o755);
    await writeCpio(layer, join(directory, 'layer.cpio'));
  });
}

/** Returns all layers of a release but the project, from the cache or built now. */
export async function imageOf(release: Release): Promise<Image> {
  const architecture = architectureOf(release);
  const kernel = await kernelLayer(release);
  const debian = await debianLayer(release);
  const programs =
    architecture === 'amd64'
      ? [await nodeLayer(), await curlLayer(), await pythonLayer(release)]
      : [await nodeOfArm64(), await curlOfArm64(suiteOf(release))];
  const tools = await toolsLayer(release, debian);
  return {
    architecture,
    hypervisor: join(debian, 'xen'),
    kernel: join(kernel, 'vmlinuz'),
    layers: [debian, kernel, ...programs, tools].map((layer) => join(layer, 'layer.cpio')),
  };
}
