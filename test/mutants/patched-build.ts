/** A copy of the build with one patch, for tests that must fail with it. */
import { cp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The `dist` folder that contains this file. */
export const DIST: string = fileURLToPath(new URL('../..', import.meta.url));

/** A text that occurs exactly once in a built file, and its replacement. */
export interface Patch {
  readonly name: string;
  /** Path below `dist/src`. */
  readonly file: string;
  readonly text: string;
  readonly without: string;
}

/** @throws Error unless the text occurs exactly once: then the patch needs an update. */
export async function patched({ file, text, without }: Patch): Promise<string> {
  const source = await readFile(join(DIST, 'src', file), 'utf8');
  const found = source.split(text).length - 1;
  if (found !== 1) throw new Error(`${file} has ${found} times: ${text}`);
  return source.replace(text, () => without);
}

/**
 * Creates a package with a patched copy of this `dist`.
 * @param directory the new package's folder.
 * @param tests folders of `dist/test` to copy; `''` is all of it.
 */
export async function copyBuild(
  directory: string,
  tests: readonly string[],
  patch: Patch | undefined,
): Promise<void> {
  const recursive = { recursive: true } as const;
  await cp(join(DIST, 'src'), join(directory, 'dist/src'), recursive);
  for (const folder of tests) {
    // oxlint-disable-next-line no-await-in-loop
    await cp(join(DIST, 'test', folder), join(directory, 'dist/test', folder), recursive);
  }
  await cp(join(DIST, '../package.json'), join(directory, 'package.json'));
  await symlink(join(DIST, '../node_modules'), join(directory, 'node_modules'));
  if (patch === undefined) return;
  const file = join(directory, 'dist/src', patch.file);
  const source = await patched(patch);
  await rm(file);
  await writeFile(file, source);
  // The daemon that tests start as a process: of the patched modules instead of the bundle.
  await writeFile(
    join(directory, 'dist/src/cli/run-serve.js'),
    "export { run } from './run.js';\n",
  );
}
