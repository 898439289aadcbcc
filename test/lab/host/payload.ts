/** The second disk of a host: an archive of the packages, and of what the tests run there. */
import { copyFile, cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { run } from '../run.ts';

const HERE = join('test', 'lab', 'host', 'payload');
const PVH = join('test', 'lab', 'c', 'pvh.S');
const UNIKERNEL_SCRIPT = join('test', 'lab', 'c', 'unikernel.lds');
/** Parts of the test of a host: three ways of installing, a shorter test of the first, and the bridge to a pool. */
export const PARTS = ['essentials', 'package', 'readme', 'bundle', 'pool'] as const;
export type Part = (typeof PARTS)[number];
const WITH_DEBS: readonly Part[] = ['essentials', 'package', 'pool'];
/** Version of the Debian package that the first is upgraded to. */
export const NEWER_VERSION = '99.0.0';
/** Has npm use the cache of the payload, and nothing of the network that the host does not have. */
export const OFFLINE: string = `export ${[
  'cache=/srv/npm-cache',
  'offline=true',
  'progress=false',
  'audit=false',
  'fund=false',
  'update_notifier=false',
]
  .map((setting) => `npm_config_${setting}`)
  .join(' ')}`;

async function compileGuest(target: string): Promise<void> {
  const mode = ['-m32', '-Wl,-m,elf_i386'];
  const options = ['-nostdlib', '-static', '-no-pie', '-Wl,--build-id=none'];
  await run('gcc', [...mode, ...options, '-Wl,-T', UNIKERNEL_SCRIPT, '-o', target, PVH]);
}

async function version(): Promise<string> {
  const manifest = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
  return manifest.version;
}

/** Packs `folder`, without building it once more. @returns the name of the archive. */
async function pack(folder: string, into: string): Promise<string> {
  const args = ['pack', '--silent', '--ignore-scripts', '--pack-destination', into];
  const answer = await run('npm', args, { cwd: folder });
  return answer.trim().split('\n').at(-1) ?? '';
}

/** Makes the Debian package `name`, and the same under a newer version. */
async function makeDebs(name: string, scratch: string, into: string): Promise<void> {
  const env = { XEN_DOMID_DEB_QUICK_INTO: into };
  await run(join('packaging', 'debian', 'make'), [`amd64/${name}`], { env });
  const ours = await version();
  await run('dpkg-deb', ['--raw-extract', join(into, `${name}_${ours}_amd64.deb`), scratch]);
  const control = join(scratch, 'DEBIAN', 'control');
  const text = await readFile(control, 'utf8');
  await writeFile(control, text.replaceAll(ours, NEWER_VERSION));
  const manifest = join(scratch, 'usr', 'lib', 'xen-domid', 'package.json');
  const json = await readFile(manifest, 'utf8');
  await writeFile(manifest, json.replace(`"version": "${ours}"`, `"version": "${NEWER_VERSION}"`));
  const quick = ['--root-owner-group', '-Zgzip', '-z1', '--build'];
  await run('dpkg-deb', [...quick, scratch, join(into, `${name}_${NEWER_VERSION}_amd64.deb`)]);
}

/** The packed package, and an npm cache that knows its modules. */
async function addPacked(directory: string, payload: string): Promise<void> {
  const archive = join(payload, await pack('.', payload));
  const where = ['--prefix', join(directory, 'prefix'), '--cache', join(payload, 'npm-cache')];
  const quiet = ['--no-audit', '--no-fund', '--no-progress', '--silent'];
  await run('npm', ['install', '--global', ...where, ...quiet, archive]);
}

/** The archive for a dom0 without Node. */
async function addBundle(payload: string): Promise<void> {
  await run(join('packaging', 'bundle', 'make'), []);
  const name = `xen-domid-${await version()}-linux-x64.tar.gz`;
  await copyFile(name, join(payload, name));
}

/** This machine's NATS server: a program that needs the C library only. */
async function addNatsServer(payload: string): Promise<void> {
  const program = await run('sh', ['-c', 'PATH=$PATH:/usr/sbin; command -v nats-server']);
  await copyFile(program.trim(), join(payload, 'nats-server'));
}

/**
 * Makes the archive in `directory`, with what `parts` need.
 * @param deb name of the Debian package.
 * @returns its path.
 */
export async function makePayload(
  directory: string,
  deb: string,
  parts: readonly Part[],
): Promise<string> {
  const payload = join(directory, 'payload');
  await cp(HERE, payload, { recursive: true });
  if (WITH_DEBS.some((part) => parts.includes(part)))
    await makeDebs(deb, join(directory, 'newer'), payload);
  if (parts.includes('readme')) await addPacked(directory, payload);
  if (parts.includes('bundle')) await addBundle(payload);
  if (parts.includes('pool')) await addNatsServer(payload);
  await compileGuest(join(payload, 'pvh'));
  const tar = join(directory, 'payload.tar');
  await run('tar', ['-C', payload, '--owner=0', '--group=0', '-cf', tar, '.']);
  return tar;
}
