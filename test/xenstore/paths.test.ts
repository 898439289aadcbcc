/** Paths and payloads that are rejected before they are sent. */
import { describe, expect, test } from '@jest/globals';
import { checkPath, checkPayload, checkWatchPath } from '../../src/xenstore/paths.ts';
import { ErrorCode } from '../../src/xen-error.ts';

const INVALID_PATH = expect.objectContaining({ code: ErrorCode.INVALID_PATH });

const GOOD = ['/', '/a', '/local/domain/0/vm', '/A-Z/_@/9', '/tool/@x', `/${'x'.repeat(3071)}`];
const BAD = [
  '',
  'a',
  'local/domain',
  '//',
  '/a//b',
  '/a/',
  '/a b',
  '/a\0',
  '/a\0b',
  '/a\n',
  '/ä',
  '/a.b',
  '/a:b',
  '/*',
  `/${'x'.repeat(3072)}`,
];
const SPECIAL = ['@introduceDomain', '@releaseDomain', '@releaseDomain/5'];

describe('a path of a node', () => {
  test.each(GOOD)('%j is taken', (path) => {
    expect(checkPath(path)).toBe(path);
    expect(checkWatchPath(path)).toBe(path);
  });

  test.each(BAD)('%j is refused', (path) => {
    expect(() => checkPath(path)).toThrow(INVALID_PATH);
    expect(() => checkWatchPath(path)).toThrow(INVALID_PATH);
  });

  test('what is no string is refused by name', () => {
    const path = 5 as unknown as string;
    expect(() => checkPath(path)).toThrow('a number is not a xenstore path');
  });

  test('the message shows a wrong path without its control characters, and not all of a long one', () => {
    expect(() => checkPath('/a\u001b[2J')).toThrow('"/a?[2J" is not a xenstore path');
    expect(() => checkPath('x'.repeat(5000))).toThrow(
      '..." (5000 characters) is not a xenstore path',
    );
  });
});

describe('a special path', () => {
  test.each(SPECIAL)('%s can be watched, and names no node', (path) => {
    expect(checkWatchPath(path)).toBe(path);
    expect(() => checkPath(path)).toThrow(INVALID_PATH);
  });

  test.each(['@', '@a b', '@a/', '@a//b', '@a\0'])('%j is none', (path) => {
    expect(() => checkWatchPath(path)).toThrow(INVALID_PATH);
  });
});

describe('a payload', () => {
  const TOO_LARGE = expect.objectContaining({ code: ErrorCode.TOO_LARGE });

  test('of 4096 bytes is taken, of 4097 refused', () => {
    checkPayload('x'.repeat(4096));
    checkPayload(new Uint8Array(4096));
    expect(() => checkPayload('x'.repeat(4097))).toThrow(TOO_LARGE);
    expect(() => checkPayload(new Uint8Array(4097))).toThrow(TOO_LARGE);
  });

  test('is measured in bytes of UTF-8', () => {
    checkPayload('é'.repeat(2048));
    expect(() => checkPayload('é'.repeat(2049))).toThrow(TOO_LARGE);
    expect(() => checkPayload('€'.repeat(1366))).toThrow(TOO_LARGE);
  });
});
