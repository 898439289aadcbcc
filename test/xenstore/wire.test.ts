/** The wire layer against bytes written by hand, whole and in every kind of pieces. */
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { XSD_ERRORS, XsdType, typeName } from '../../src/xenstore/messages.ts';
import {
  decodeStrings,
  encodeMessage,
  MessageDecoder,
  MessageWriter,
  REPLY_BYTES_MAX,
} from '../../src/xenstore/wire.ts';
import { ErrorCode, XenError } from '../../src/xen-error.ts';

interface Seen {
  readonly type: number;
  readonly reqId: number;
  readonly txId: number;
  readonly payload: string;
}

/** Returns the messages that a decoder finds in the chunks. Copies the payloads, whose buffer is reused. */
function decode(chunks: readonly Uint8Array[], payloadMax?: number): Seen[] {
  const seen: Seen[] = [];
  const decoder = new MessageDecoder((type, reqId, txId, payload) => {
    seen.push({ type, reqId, txId, payload: payload.toString('latin1') });
  }, payloadMax);
  for (const chunk of chunks) decoder.push(chunk);
  return seen;
}

function bytes(...hex: string[]): Buffer {
  return Buffer.from(hex.join('').replaceAll(' ', ''), 'hex');
}

/** `text` as hex. */
function ascii(text: string): string {
  return Buffer.from(text, 'latin1').toString('hex');
}

function cut(whole: Buffer, at: readonly number[]): Buffer[] {
  const edges = [0, ...at.filter((edge) => edge <= whole.length), whole.length];
  edges.sort((a, b) => a - b);
  return edges.slice(1).map((edge, index) => whole.subarray(edges[index], edge));
}

const READ_REQUEST = bytes('02000000 07000000 00000000 13000000', ascii('/local/domain/5/vm\0'));
const WATCH_REQUEST = bytes('04000000 08000000 00000000 11000000', ascii('@releaseDomain\0t\0'));

const STREAMS: readonly { name: string; whole: Buffer; seen: readonly Seen[] }[] = [
  { name: 'nothing', whole: bytes(''), seen: [] },
  {
    name: 'a READ reply, its value without a NUL',
    whole: bytes(
      '02000000 07000000 00000000 28000000',
      ascii('/vm/6d4f1a5e-0b7c-4c4e-9d2a-3f1e5b7a9c01'),
    ),
    seen: [{ type: 2, reqId: 7, txId: 0, payload: '/vm/6d4f1a5e-0b7c-4c4e-9d2a-3f1e5b7a9c01' }],
  },
  {
    name: 'an empty payload, twice in a row',
    whole: bytes('01000000 01000000 02000000 00000000', '01000000 02000000 02000000 00000000'),
    seen: [
      { type: 1, reqId: 1, txId: 2, payload: '' },
      { type: 1, reqId: 2, txId: 2, payload: '' },
    ],
  },
  {
    name: 'OK of a WATCH and its event',
    whole: bytes(
      '04000000 08000000 00000000 03000000',
      ascii('OK\0'),
      '0f000000 00000000 00000000 11000000',
      ascii('@releaseDomain\0t\0'),
    ),
    seen: [
      { type: 4, reqId: 8, txId: 0, payload: 'OK\0' },
      { type: 15, reqId: 0, txId: 0, payload: '@releaseDomain\0t\0' },
    ],
  },
  {
    name: 'an error with the highest req_id and tx_id',
    whole: bytes('10000000 ffffffff feffffff 07000000', ascii('ENOENT\0')),
    seen: [{ type: 16, reqId: 0xffff_ffff, txId: 0xffff_fffe, payload: 'ENOENT\0' }],
  },
  {
    name: 'a payload over 4096, as oxenstored sends it, between two small ones',
    whole: bytes(
      '02000000 01000000 00000000 01000000',
      ascii('a'),
      '01000000 02000000 00000000 89130000',
      '62'.repeat(5001),
      '02000000 03000000 00000000 01000000',
      ascii('c'),
    ),
    seen: [
      { type: 2, reqId: 1, txId: 0, payload: 'a' },
      { type: 1, reqId: 2, txId: 0, payload: 'b'.repeat(5001) },
      { type: 2, reqId: 3, txId: 0, payload: 'c' },
    ],
  },
  {
    name: 'a type that nobody knows',
    whole: bytes('63000000 01000000 00000000 00000000'),
    seen: [{ type: 99, reqId: 1, txId: 0, payload: '' }],
  },
];

describe('encoding', () => {
  test('a READ is the bytes that xs_wire.h says', () => {
    expect(encodeMessage(XsdType.READ, 7, 0, '/local/domain/5/vm\0')).toEqual(READ_REQUEST);
  });

  test('a WATCH is path, NUL, token, NUL', () => {
    expect(encodeMessage(XsdType.WATCH, 8, 0, '@releaseDomain\0t\0')).toEqual(WATCH_REQUEST);
  });

  test('the writer makes the same bytes, of all that was written since the last flush, in one piece', () => {
    const pieces: Buffer[] = [];
    const writer = new MessageWriter((piece) => pieces.push(piece));
    writer.write(XsdType.READ, 7, 0, '/local/domain/5/vm\0');
    writer.write(XsdType.WATCH, 8, 0, Buffer.from('@releaseDomain\0t\0'));
    expect(pieces).toEqual([]);
    writer.flush();
    writer.flush();
    expect(pieces).toEqual([Buffer.concat([READ_REQUEST, WATCH_REQUEST])]);
  });

  test('text that is not ASCII goes out as UTF-8, its length counted in bytes', () => {
    const pieces: Buffer[] = [];
    const writer = new MessageWriter((piece) => pieces.push(piece));
    writer.write(XsdType.WRITE, 0xffff_ffff, 0xffff_fffe, '/n\0é€');
    writer.flush();
    expect(pieces).toEqual([
      bytes('0b000000 ffffffff feffffff 08000000', ascii('/n\0'), 'c3a9', 'e282ac'),
    ]);
    expect(encodeMessage(XsdType.WRITE, 0xffff_ffff, 0xffff_fffe, '/n\0é€')).toEqual(pieces[0]);
  });

  test('what was handed on stays as it was while much more is written', () => {
    const pieces: Buffer[] = [];
    const writer = new MessageWriter((piece) => pieces.push(piece));
    const expected: Buffer[] = [];
    for (let reqId = 0; reqId < 5000; reqId++) {
      writer.write(XsdType.READ, reqId, 0, `/local/domain/${reqId}/name\0`);
      expected.push(encodeMessage(XsdType.READ, reqId, 0, `/local/domain/${reqId}/name\0`));
      if (reqId % 7 === 0) writer.flush();
    }
    writer.write(XsdType.READ, 1, 0, 'x'.repeat(200_000));
    expected.push(encodeMessage(XsdType.READ, 1, 0, 'x'.repeat(200_000)));
    writer.flush();
    expect(Buffer.concat(pieces).equals(Buffer.concat(expected))).toBe(true);
  });
});

describe.each(STREAMS)('decoding $name', ({ whole, seen }) => {
  test('in one chunk', () => {
    expect(decode([whole])).toEqual(seen);
  });

  test('byte by byte', () => {
    expect(decode(cut(whole, [...whole.keys()]))).toEqual(seen);
  });

  test('cut anywhere', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(whole.length), { maxLength: 20 }), (at) => {
        expect(decode(cut(whole, at))).toEqual(seen);
      }),
    );
  });

  test('in a chunk that is part of a larger buffer', () => {
    const around = Buffer.concat([Buffer.alloc(5, 0xff), whole, Buffer.alloc(5, 0xff)]);
    expect(decode([new Uint8Array(around.buffer, around.byteOffset + 5, whole.length)])).toEqual(
      seen,
    );
  });
});

describe('decoding', () => {
  test('any messages, cut anywhere, come out as they went in', () => {
    const message = fc.record({
      type: fc.nat(30).filter((type) => type !== XsdType.WATCH_EVENT),
      reqId: fc.integer({ min: 0, max: 0xffff_ffff }),
      txId: fc.integer({ min: 0, max: 0xffff_ffff }),
      payload: fc
        .oneof(
          fc.uint8Array({ maxLength: 40 }),
          fc.uint8Array({ minLength: 4000, maxLength: 9000 }),
        )
        .map((payload) => Buffer.from(payload).toString('latin1')),
    });
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 8 }),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 }),
        (messages, cuts) => {
          const whole = Buffer.concat(
            messages.map(({ type, reqId, txId, payload }) =>
              encodeMessage(type, reqId, txId, Buffer.from(payload, 'latin1')),
            ),
          );
          const at = cuts.map((share) => Math.floor(share * whole.length));
          expect(decode(cut(whole, at))).toEqual(messages);
        },
      ),
    );
  });

  test('a message without its end is not delivered, and is known to be there', () => {
    const seen: number[] = [];
    const decoder = new MessageDecoder((type) => seen.push(type));
    decoder.push(READ_REQUEST.subarray(0, -1));
    expect(seen).toEqual([]);
    expect(decoder.carriedBytes).toBe(READ_REQUEST.length - 1);
    decoder.push(READ_REQUEST.subarray(-1));
    expect(seen).toEqual([XsdType.READ]);
    expect(decoder.carriedBytes).toBe(0);
  });

  test.each([
    ['whole', []],
    ['with its header cut', [23, 25]],
    ['with its length cut', [14 + 16]],
  ])('a message too long (%s) fails, after those before it were delivered', (_name, at) => {
    const tooLong = Buffer.concat([
      bytes('02000000 01000000 00000000 00000000'),
      bytes('02000000 02000000 00000000 01000001'),
    ]);
    const seen: number[] = [];
    const decoder = new MessageDecoder((_type, reqId) => seen.push(reqId));
    expect(() => cut(tooLong, at).forEach((chunk) => decoder.push(chunk))).toThrow(
      expect.objectContaining({ code: ErrorCode.XENSTORE_PROTOCOL }),
    );
    expect(seen).toEqual([1]);
    expect(REPLY_BYTES_MAX).toBe(0x0100_0000);
  });

  test.each([
    ['whole', []],
    ['byte by byte', [...Array(16).keys()]],
  ])('an event of more than 4096 bytes (%s) fails by its header', (_name, at) => {
    const longest = encodeMessage(XsdType.WATCH_EVENT, 0, 0, Buffer.alloc(4096));
    expect(decode(cut(longest, at))).toHaveLength(1);
    const header = encodeMessage(XsdType.WATCH_EVENT, 0, 0, Buffer.alloc(4097)).subarray(0, 16);
    expect(() => decode(cut(header, at))).toThrow(
      expect.objectContaining({ code: ErrorCode.XENSTORE_PROTOCOL }),
    );
  });

  test('the buffer of a long message in pieces is not kept for the messages after it', () => {
    const kept: number[] = [];
    const decoder = new MessageDecoder((_type, _reqId, _txId, payload) =>
      kept.push(payload.buffer.byteLength),
    );
    for (const length of [4_000_000, 4000]) {
      const message = encodeMessage(XsdType.DIRECTORY, 1, 0, Buffer.alloc(length));
      for (const chunk of cut(message, [1000])) decoder.push(chunk);
    }
    expect(kept[0]).toBeGreaterThan(4_000_000);
    expect(kept[1]).toBeLessThanOrEqual(65_536);
  });

  test('a server holds its clients to 4096', () => {
    const most = encodeMessage(XsdType.WRITE, 1, 0, Buffer.alloc(4096));
    expect(decode([most], 4096)).toHaveLength(1);
    expect(() => decode([encodeMessage(XsdType.WRITE, 1, 0, Buffer.alloc(4097))], 4096)).toThrow(
      XenError,
    );
  });

  test('once failed, it stays failed: the stream has no boundaries left', () => {
    const decoder = new MessageDecoder(() => {});
    const garbage = Buffer.alloc(64, 0xff);
    expect(() => decoder.push(garbage)).toThrow(XenError);
    expect(() => decoder.push(READ_REQUEST)).toThrow(XenError);
  });

  test('any garbage gives messages or a typed error, and nothing else', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (chunks) => {
        try {
          decode(chunks);
        } catch (error) {
          expect(error).toMatchObject({ code: ErrorCode.XENSTORE_PROTOCOL });
        }
      }),
    );
  });

  test('a header that announces 16 MiB makes nobody set them aside before they come', () => {
    const before = process.memoryUsage().arrayBuffers;
    const decoders = Array.from({ length: 100 }, () => new MessageDecoder(() => {}));
    for (const decoder of decoders) decoder.push(bytes('01000000 01000000 00000000 00000001 00'));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * 1024 * 1024);
  });
});

test('strings end at their NULs, and what has none is told apart', () => {
  expect(decodeStrings(Buffer.from(''))).toEqual({ strings: [], rest: 0 });
  expect(decodeStrings(Buffer.from('a\0bc\0'))).toEqual({ strings: ['a', 'bc'], rest: 5 });
  expect(decodeStrings(Buffer.from('a\0\0'))).toEqual({ strings: ['a', ''], rest: 3 });
  expect(decodeStrings(Buffer.from('a\0bc'))).toEqual({ strings: ['a'], rest: 2 });
  expect(decodeStrings(Buffer.from('bc'))).toEqual({ strings: [], rest: 0 });
  expect(decodeStrings(Buffer.from('\0'))).toEqual({ strings: [''], rest: 1 });
  expect(decodeStrings(Buffer.from('a\0b\0c\0'), 2)).toEqual({ strings: ['a', 'b'], rest: 6 });
});

test('types and error names are those of xs_wire.h', () => {
  expect(
    Object.entries(XsdType)
      .map(([name, type]) => `${type} ${name}`)
      .join(', '),
  ).toBe(
    '0 CONTROL, 1 DIRECTORY, 2 READ, 3 GET_PERMS, 4 WATCH, 5 UNWATCH, 6 TRANSACTION_START, 7 TRANSACTION_END, ' +
      '8 INTRODUCE, 9 RELEASE, 10 GET_DOMAIN_PATH, 11 WRITE, 12 MKDIR, 13 RM, 14 SET_PERMS, 15 WATCH_EVENT, 16 ERROR, ' +
      '17 IS_DOMAIN_INTRODUCED, 18 RESUME, 19 SET_TARGET, 21 RESET_WATCHES, 22 DIRECTORY_PART, 23 GET_FEATURE, ' +
      '24 SET_FEATURE, 25 GET_QUOTA, 26 SET_QUOTA, 65535 INVALID',
  );
  expect(typeName(22)).toBe('DIRECTORY_PART');
  expect(typeName(20)).toBe('type 20');
  expect(XSD_ERRORS).toHaveLength(17);
  expect(XSD_ERRORS).toEqual(expect.arrayContaining(['EQUOTA', 'EPERM']));
});
