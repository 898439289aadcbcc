/** Each rule of the contract names tests that exist. */
import { expect, test } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { read, root } from './markdown.ts';

interface Held {
  readonly rule: string;
  readonly file: string;
  readonly name: string;
}

const rows = read('docs/contract.md')
  .split(/^## /m)
  .find((section) => section.startsWith('Each rule and its test'))
  ?.split('\n')
  .filter((line) => line.startsWith('| '))
  .slice(2)
  .map((line) => line.split('|').map((cell) => cell.trim())) as string[][];

/** "[file](path): a name<br>another<br>[file](path): a third". */
const held: Held[] = rows.flatMap(([, rule = '', tests = '']) =>
  tests.split(/(?:<br>)?(?=\[)/).flatMap((part) => {
    const [, path = '', names = ''] = /^\[[^\]]+\]\(\.\.\/([^)]+)\): (.*)$/.exec(part) ?? [];
    return names.split('<br>').map((name) => ({ rule, file: path, name }));
  }),
);

test('there are more than 20 rules, and each names a test', () => {
  expect(rows.length).toBeGreaterThan(20);
  expect(held.filter(({ file, name }) => file === '' || name === '')).toEqual([]);
});

test.each(held)('$rule ($name)', ({ file, name }) => {
  expect(existsSync(join(root, file))).toBe(true);
  const text = readFileSync(join(root, file), 'utf8');
  // A title may begin with the number of a field failure, or go on with a number.
  const literal = name.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  const title = new RegExp(`(?:['"\`]|: )${literal}(?:['"\`]|, )`);
  expect(title.test(text)).toBe(true);
});
