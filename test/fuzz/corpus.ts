/** Inputs that once failed, or nearly did: a file each, in the folder of its target. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** In the source tree, not in `dist`: new inputs must be committed. */
const CORPUS = fileURLToPath(new URL('../../../test/fuzz/corpus', import.meta.url));

export function corpusOf(target: string): readonly { name: string; input: Uint8Array }[] {
  const folder = join(CORPUS, target);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .toSorted()
    .map((name) => ({ name, input: readFileSync(join(folder, name)) }));
}

/** @returns the path of the new file. */
export function keep(target: string, input: Uint8Array): string {
  const folder = join(CORPUS, target);
  mkdirSync(folder, { recursive: true });
  const name = createHash('sha256').update(input).digest('hex').slice(0, 16);
  writeFileSync(join(folder, name), input);
  return join(folder, name);
}
