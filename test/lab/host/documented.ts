/** Lines that the documentation gives, to be used as they stand. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

/** Lines of the first block of `language` on `page` that has a line which begins with `beginning`. */
async function linesOf(page: string, language: string, beginning: string): Promise<string[]> {
  const text = await readFile(page, 'utf8');
  const blocks = [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)];
  const found = blocks
    .filter(([, name]) => name === language)
    .map(([, , block = '']) => block.trim().split('\n'))
    .find((lines) => lines.some((line) => line.startsWith(beginning)));
  assert.ok(found !== undefined, `${page} has no lines with ${beginning}`);
  return found;
}

/** Lines of shell, with one that begins with `command`. */
export function shellBlock(page: string, command: string): Promise<string[]> {
  return linesOf(page, 'sh', command);
}

/** Lines of a file, with one that begins with `beginning`. */
export function fileBlock(page: string, beginning: string): Promise<string[]> {
  return linesOf(page, 'text', beginning);
}
