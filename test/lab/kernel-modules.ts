/** Finds the module files of a kernel package to insert, and their order: the package comes without modules.dep. */
import { copyFile, readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { run } from './run.ts';

function nameOf(file: string): string {
  return file
    .replace(/^.*\//, '')
    .replace(/\.ko(\.xz)?$/, '')
    .replaceAll('-', '_');
}

async function dependencies(file: string): Promise<string[]> {
  const text = file.endsWith('.xz')
    ? await run('sh', ['-c', 'xz -dc "$1" | strings', 'sh', file])
    : (await readFile(file)).toString('latin1').replaceAll('\0', '\n');
  const listed = /^depends=(.*)$/m.exec(text)?.[1] ?? '';
  return listed.split(',').filter((name) => name !== '');
}

/**
 * Copies the module `file` into `folder`, unpacked: busybox inserts no other.
 * @returns its name there.
 */
export async function addModule(file: string, folder: string): Promise<string> {
  await copyFile(file, join(folder, basename(file)));
  if (file.endsWith('.xz')) await run('xz', ['-d', join(folder, basename(file))]);
  return basename(file, '.xz');
}

/** Returns the files of `modules` below `folder` with all their dependencies, in the order of insertion. Built-in modules have no file. */
export async function moduleOrder(folder: string, modules: readonly string[]): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true });
  const fileOf = new Map(
    entries
      .filter((entry) => /\.ko(\.xz)?$/.test(entry))
      .map((entry) => [nameOf(entry), join(folder, entry)]),
  );
  const order = new Set<string>();
  const add = async (module: string): Promise<void> => {
    const file = fileOf.get(module.replaceAll('-', '_'));
    if (file === undefined || order.has(file)) return;
    for (const dependency of await dependencies(file)) await add(dependency);
    order.add(file);
  };
  for (const module of modules) await add(module);
  return [...order];
}
