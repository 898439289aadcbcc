/** The parts of this repository in dom0: the build, and the packages that it and jest need at run time. */
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { installForArm64 } from './arm64.ts';
import { cached } from './cache.ts';
import { writeCpio } from './cpio.ts';
import type { Architecture } from './release.ts';

/** Development packages that suites in dom0 import. */
const NEEDED_IN_DOM0 = ['jest', '@jest/globals', 'fast-check', 'expect-type'];
/** Files of a package for its authors, compilers and debuggers only. */
const NOT_IN_DOM0 = /\.(map|md|markdown|ts|mts|cts|flow|tsbuildinfo)$/;

interface Locked {
  readonly optional?: boolean;
  readonly dependencies?: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
  readonly peerDependencies?: Record<string, string>;
}

/** Returns the location where node would find `name` from the package at `from`, in the lock's notation. */
function resolve(packages: Record<string, Locked>, from: string, name: string): string | undefined {
  for (let folder = from; ; folder = folder.replace(/(^|\/)node_modules\/(@[^/]+\/)?[^/]+$/, '')) {
    const path = folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
    if (path in packages) return path;
    if (folder === '') return undefined;
  }
}

/** Returns all folders of `node_modules` that the project's dependencies and `extra` require. */
export function closure(packages: Record<string, Locked>, extra: readonly string[]): string[] {
  const reached = new Set<string>();
  const add = (from: string, name: string): void => {
    const path = resolve(packages, from, name);
    if (path === undefined || reached.has(path)) return;
    reached.add(path);
    const entry = packages[path] ?? {};
    const needs = {
      ...entry.dependencies,
      ...entry.optionalDependencies,
      ...entry.peerDependencies,
    };
    for (const need of Object.keys(needs)) add(path, need);
  };
  for (const name of [...Object.keys(packages['']?.dependencies ?? {}), ...extra]) add('', name);
  return [...reached].toSorted();
}

/** Returns the archive of the packages, with `more` of them, built once for each package-lock.json and architecture. */
export async function packagesLayer(
  architecture: Architecture = 'amd64',
  more: readonly string[] = [],
): Promise<string> {
  const lock = await readFile('package-lock.json', 'utf8');
  const { packages } = JSON.parse(lock) as { packages: Record<string, Locked> };
  const wanted = closure(packages, [...NEEDED_IN_DOM0, ...more]);
  const ingredients = { lock, wanted, architecture, NOT_IN_DOM0: NOT_IN_DOM0.source, layout: 1 };
  const layer = await cached('packages', ingredients, async (directory) => {
    const from = architecture === 'amd64' ? '.' : join(directory, 'installed');
    if (architecture !== 'amd64') await installForArm64(from);
    for (const path of wanted) {
      const source = join(from, path);
      const target = join(directory, 'layer', 'project', path);
      await mkdir(dirname(target), { recursive: true });
      await cp(source, target, {
        recursive: true,
        filter: (file) =>
          file === source || !(NOT_IN_DOM0.test(file) || file === join(source, 'node_modules')),
      }).catch((error: NodeJS.ErrnoException) => {
        // The lock also has packages of other platforms. Any other that is missing would make a layer that is kept, and useless.
        if (error.code !== 'ENOENT' || packages[path]?.optional !== true) throw error;
      });
    }
    await writeCpio(join(directory, 'layer'), join(directory, 'layer.cpio'));
    await rm(join(directory, 'installed'), { recursive: true, force: true });
  });
  return join(layer, 'layer.cpio');
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

export interface RunLayer {
  readonly release: string;
  readonly daemon: string;
  readonly payload: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Writes the archive for one run: the build, the units, the cell's name, the command. */
export async function writeRunLayer(layer: RunLayer, directory: string): Promise<string> {
  const project = join(directory, 'layer', 'project');
  const lab = join(directory, 'layer', 'lab');
  await mkdir(project, { recursive: true });
  await mkdir(lab, { recursive: true });
  await cp('package.json', join(project, 'package.json'));
  await cp('dist', join(project, 'dist'), {
    recursive: true,
    filter: (from) => !/\.(d\.ts|map)$/.test(from),
  });
  const units = join('packaging', 'systemd');
  await cp(units, join(project, units), { recursive: true });
  const env = {
    XEN_DOMID_LAB_RELEASE: layer.release,
    XEN_DOMID_LAB_DAEMON: layer.daemon,
    XEN_DOMID_LAB_OUTPUT: '/result/output',
    ...layer.env,
  };
  const lines = Object.entries(env).map(([name, value]) => `export ${name}=${quoted(value)}\n`);
  await writeFile(join(lab, 'cell'), lines.join(''));
  await writeFile(join(lab, 'payload'), `exec ${layer.payload.map(quoted).join(' ')}\n`);
  const archive = join(directory, 'run.cpio');
  await writeCpio(join(directory, 'layer'), archive);
  return archive;
}
