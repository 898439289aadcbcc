/** The tables of the page of the protocol are those that `rpc.discover` answers with. */
import { expect, test } from '@jest/globals';
import {
  DOMAIN,
  ERRORS,
  METHODS,
  type MethodReference,
  type ParamReference,
} from '../../src/protocol/reference.ts';
import { read } from './markdown.ts';

/** Returns the rows of the first table below a heading, without its head. */
function rowsBelow(heading: string): string[][] {
  const [, section = ''] = read('docs/protocol.md').split(`\n${heading}\n`);
  const [table = ''] = /(?:^\|.*\n)+/m.exec(section) ?? [];
  return table
    .trimEnd()
    .split('\n')
    .slice(2)
    .map((row) =>
      row
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

function paramsOf({ params }: MethodReference): string {
  const shown = Object.entries(params).map(
    ([name, { optional, shown: value }]: [string, ParamReference]) => {
      return `"${name}"${optional === true ? '?' : ''}: ${value}`;
    },
  );
  return `\`{${shown.join(', ')}}\``;
}

test('every method has its row', () => {
  expect(rowsBelow('## Methods')).toEqual(
    Object.entries(METHODS).map(([name, method]) => [
      `\`${name}\``,
      paramsOf(method),
      method.result,
    ]),
  );
});

test('every field of a domain has its row', () => {
  expect(rowsBelow('### A domain')).toEqual(
    DOMAIN.map(({ fields, meaning }) => [
      Object.keys(fields)
        .map((name) => `\`${name}\``)
        .join(', '),
      meaning,
    ]),
  );
});

test('every error has its row', () => {
  expect(rowsBelow('## Errors')).toEqual(
    Object.values(ERRORS).map(({ code, meaning }) => [String(code), meaning]),
  );
});
