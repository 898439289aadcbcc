/** Build results outside the repository, each in a folder named after a hash of its ingredients. */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

import { withLock } from './lock.ts';

/** Folder for everything that the lab keeps between runs. */
export const CACHE: string =
  process.env['XEN_DOMID_LAB_CACHE'] ??
  join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'xen-domid-lab');

const HASH_LENGTH = 16;
const made = new Map<string, Promise<string>>();

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function make(path: string, build: (directory: string) => Promise<void>): Promise<string> {
  if (await exists(path)) return path;
  await mkdir(CACHE, { recursive: true });
  return withLock(`${path}.lock`, async () => {
    if (await exists(path)) return path;
    const building = await mkdtemp(`${path}.building-`);
    try {
      await build(building);
      await rename(building, path);
    } catch (error) {
      await rm(building, { recursive: true, force: true });
      // Another process took over the dead process's lock first, and built the same thing.
      if (!(await exists(path))) throw error;
    }
    return path;
  });
}

/**
 * Returns the folder of `name` made of `ingredients`: from the cache, or built now. It appears whole or not at
 * all, and no two processes build it at once.
 */
export async function cached(
  name: string,
  ingredients: unknown,
  build: (directory: string) => Promise<void>,
): Promise<string> {
  const hash = createHash('sha256')
    .update(JSON.stringify(ingredients))
    .digest('hex')
    .slice(0, HASH_LENGTH);
  const path = join(CACHE, `${name}-${hash}`);
  const known = made.get(path);
  if (known !== undefined) return known;
  const making = make(path, build);
  made.set(path, making);
  // The next request retries a failed build.
  making.catch(() => made.delete(path));
  return making;
}
