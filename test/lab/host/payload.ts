/** The second disk of a host: an archive of the packed package, an npm cache that knows its modules, and what the tests run there. */
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { run } from '../run.ts';

const HERE = join('test', 'lab', 'host', 'payload');
const PVH = join('test', 'lab', 'c', 'pvh.S');
const UNIKERNEL_SCRIPT = join('test', 'lab', 'c', 'unikernel.lds');
/** Version of the second package, which the first is upgraded to. */
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

/** Packs `folder`, without building it once more. @returns the name of the archive. */
async function pack(folder: string, into: string): Promise<string> {
  const args = ['pack', '--silent', '--ignore-scripts', '--pack-destination', into];
  const answer = await run('npm', args, { cwd: folder });
  return answer.trim().split('\n').at(-1) ?? '';
}

/** The same package under a newer version. */
async function packNewer(archive: string, scratch: string, into: string): Promise<void> {
  await mkdir(scratch, { recursive: true });
  await run('tar', ['-xzf', archive, '-C', scratch]);
  const manifest = join(scratch, 'package', 'package.json');
  const text = await readFile(manifest, 'utf8');
  await writeFile(manifest, text.replace(/"version": "[^"]+"/, `"version": "${NEWER_VERSION}"`));
  await pack(join(scratch, 'package'), into);
}

/**
 * Makes the archive in `directory`.
 * @returns its path.
 */
export async function makePayload(directory: string): Promise<string> {
  const payload = join(directory, 'payload');
  await cp(HERE, payload, { recursive: true });
  const name = await pack('.', payload);
  const archive = join(payload, name);
  await packNewer(archive, join(directory, 'newer'), payload);
  const prefix = join(directory, 'prefix');
  const cache = join(payload, 'npm-cache');
  const quiet = ['--no-audit', '--no-fund', '--no-progress', '--silent'];
  await run('npm', [
    'install',
    '--global',
    '--prefix',
    prefix,
    '--cache',
    cache,
    ...quiet,
    archive,
  ]);
  await compileGuest(join(payload, 'pvh'));
  const tar = join(directory, 'payload.tar');
  await run('tar', ['-C', payload, '--owner=0', '--group=0', '-cf', tar, '.']);
  return tar;
}
