/** A stream of xenstore messages: the decoder returns the same messages for every way to cut it, and no others. */
import * as fc from 'fast-check';
import {
  decodeStrings,
  encodeMessage,
  HEADER_BYTES,
  MessageDecoder,
} from '../../src/xenstore/wire.ts';
import { ErrorCode, XenError } from '../../src/xen-error.ts';
import { demand, pieces, type Target } from './target.ts';

/** So small that random bytes announce both more and less. */
const PAYLOAD_MAX = 300;

interface Decoded {
  readonly messages: string[];
  readonly failed: boolean;
  /** An incomplete message, at any point of it. */
  readonly left: number;
}

function decode(chunks: readonly Uint8Array[]): Decoded {
  const messages: string[] = [];
  const decoder = new MessageDecoder((type, reqId, txId, payload) => {
    messages.push(`${type} ${reqId} ${txId} ${payload.toString('latin1')}`);
    const text = payload.toString('latin1');
    const { strings, rest } = decodeStrings(payload);
    demand(
      [...strings, text.slice(rest)].join('\0') === text,
      'the strings of a payload are not what it is made of',
    );
  }, PAYLOAD_MAX);
  try {
    for (const chunk of chunks) decoder.push(chunk);
  } catch (error) {
    demand(
      error instanceof XenError && error.code === ErrorCode.XENSTORE_PROTOCOL,
      `not a protocol error: ${String(error)}`,
    );
    return { messages, failed: true, left: 0 };
  }
  return { messages, failed: false, left: decoder.carriedBytes };
}

/** Decodes all bytes at once, by the letter of the protocol. */
function expected(input: Uint8Array): Decoded {
  const bytes = Buffer.from(input);
  const messages: string[] = [];
  let at = 0;
  while (bytes.length - at >= HEADER_BYTES) {
    const length = bytes.readUInt32LE(at + 12);
    if (length > PAYLOAD_MAX) return { messages, failed: true, left: 0 };
    const end = at + HEADER_BYTES + length;
    if (end > bytes.length) break;
    const [type, reqId, txId] = [0, 4, 8].map((field) => bytes.readUInt32LE(at + field));
    messages.push(`${type} ${reqId} ${txId} ${bytes.toString('latin1', at + HEADER_BYTES, end)}`);
    at = end;
  }
  return { messages, failed: false, left: bytes.length - at };
}

const message = fc
  .record({
    type: fc.oneof(fc.nat(30), fc.nat(0xffff_ffff)),
    reqId: fc.nat(3),
    payload: fc.uint8Array({ maxLength: 40 }),
    /** The length in the header, if not the payload's own. */
    length: fc.option(fc.nat(320), { freq: 8 }),
  })
  .map(({ type, reqId, payload, length }) => {
    const bytes = encodeMessage(type, reqId, 0, payload);
    if (length !== null) bytes.writeUInt32LE(length, 12);
    return bytes;
  });

export function xenstoreDecoder(): Target {
  return {
    name: 'xenstore-decoder',
    inputs: fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc
        .tuple(fc.array(message, { maxLength: 4 }), fc.uint8Array({ maxLength: 20 }))
        .map(([messages, rest]) => Buffer.concat([...messages, rest])),
    ),
    check(input) {
      const wanted = JSON.stringify(expected(input));
      for (const chunks of pieces(input)) {
        const got = JSON.stringify(decode(chunks));
        demand(got === wanted, `in ${chunks.length} pieces: ${got}, not ${wanted}`);
      }
    },
  };
}
