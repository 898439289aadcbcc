/** Lines of shell that the documentation gives, to be run as they stand. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

/** Lines of the first block of shell on `page` that has a line which begins with `command`. */
export async function shellBlock(page: string, command: string): Promise<string[]> {
  const text = await readFile(page, 'utf8');
  const blocks = [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => block);
  const found = blocks
    .map((block) => block.trim().split('\n'))
    .find((lines) => lines.some((line) => line.startsWith(command)));
  assert.ok(found !== undefined, `${page} has no lines with ${command}`);
  return found;
}
