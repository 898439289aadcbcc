import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { parseUuid, readUuid, uuidWords, writeUuid } from '../src/uuid.ts';
import { ErrorCode } from '../src/xen-error.ts';

describe('a UUID', () => {
  it('is taken in either letter case and kept in lower case', () => {
    expect(parseUuid('6D4F1A5E-0b7c-4C4E-9d2a-3f1e5b7a9c01')).toBe(
      '6d4f1a5e-0b7c-4c4e-9d2a-3f1e5b7a9c01',
    );
  });

  it('has its bytes in the order of its digits', () => {
    const view = new DataView(new ArrayBuffer(20));
    writeUuid(view, 3, parseUuid('00010203-0405-0607-0809-0a0b0c0d0e0f'));
    expect([...new Uint8Array(view.buffer)]).toEqual([
      0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0,
    ]);
  });

  it('survives the way through bytes and words', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        const view = new DataView(bytes.buffer, bytes.byteOffset);
        const uuid = readUuid(view, 0);
        const hex = Buffer.from(bytes).toString('hex');
        expect(uuid.replaceAll('-', '')).toBe(hex);
        expect(parseUuid(uuid.toUpperCase())).toBe(uuid);
        const { w0, w1, w2, w3 } = uuidWords(uuid);
        expect([w0, w1, w2, w3]).toEqual([0, 4, 8, 12].map((at) => view.getInt32(at, true)));
      }),
    );
  });

  it.each([
    ['a number', 7],
    ['an object', {}],
    ['null', null],
    ['undefined', undefined],
  ])('is not %s, and the error says so', (kind, value) => {
    expect(() => parseUuid(value)).toThrow(`${kind} is not a UUID`);
  });

  it('is nothing else', () => {
    const uuid = '6d4f1a5e-0b7c-4c4e-9d2a-3f1e5b7a9c01';
    const others = [
      '',
      `${uuid} `,
      `{${uuid}}`,
      uuid.slice(0, 35),
      uuid.replaceAll('-', ''),
      uuid.replace('6', 'g'),
      uuid.replace('6', 'ö'),
      uuid.replace('6', '\u0136'),
      uuid.replace('-', '6'),
      `6-${uuid.slice(2)}`,
      7,
      null,
      undefined,
      [uuid],
      { toString: () => uuid },
    ];
    for (const other of others) {
      expect(() => parseUuid(other)).toThrow(
        expect.objectContaining({ code: ErrorCode.INVALID_UUID }),
      );
    }
  });

  it('is refused with a message that no terminal could take for a command', () => {
    expect(() => parseUuid('\u001b[2J\u009b31m\n')).toThrow('"?[2J?31m?" is not a UUID');
  });
});
