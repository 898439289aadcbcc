/** Lines in a stream of bytes, and the requests that are read where they lie, beside what JSON.parse makes of them. */
import * as fc from 'fast-check';
import { HotRequest } from '../../src/service/answers/known-request.ts';
import { decodeLine, LineReader } from '../../src/service/connections/line-reader.ts';
import { LINE_BYTES_MAX } from '../../src/protocol/rpc.ts';
import { demand, pieces, type Target } from './target.ts';

const NEWLINE = 0x0a;
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decoded(line: Buffer): string | undefined {
  try {
    return strict.decode(line);
  } catch {
    return undefined;
  }
}

function checkLines(input: Uint8Array, chunks: readonly Uint8Array[]): void {
  const reader = new LineReader();
  let read = '';
  for (const chunk of chunks) {
    read += reader.push(Buffer.from(chunk));
    demand(
      reader.begunBytes <= LINE_BYTES_MAX && (read === '' || read.endsWith('\n')),
      'a line was given without its end, or too long a one kept',
    );
  }
  const all = Buffer.from(input).toString('latin1');
  demand(all.startsWith(read), 'other bytes were read than sent');
  if (!reader.tooLong) {
    demand(read + reader.peek() === all, 'bytes were lost');
    return;
  }
  const [line = ''] = all.slice(read.length).split('\n');
  demand(line.length > LINE_BYTES_MAX, 'a line was refused that is not too long');
}

interface Request {
  readonly jsonrpc: string;
  readonly id: unknown;
  readonly method: string;
  readonly params: { readonly uuid: unknown };
}

function checkHot(line: string): void {
  const hot = new HotRequest();
  const text = `[\n${line}\n{}`;
  if (!hot.read(text, 2, 2 + line.length)) return;
  // A UUID is checked afterwards: what is in its place may be anything but the end of the text.
  const safe = line.replace(hot.uuid, 'u'.repeat(36));
  const { jsonrpc, id, method, params } = JSON.parse(safe) as Request;
  demand(
    jsonrpc === '2.0' &&
      method === (hot.short ? 'domid' : 'lookup') &&
      hot.uuid.length === 36 &&
      params.uuid === 'u'.repeat(36) &&
      hot.head === `{"jsonrpc":"2.0","id":${JSON.stringify(id)}`,
    `read fast: ${JSON.stringify(hot)} of ${line}`,
  );
}

const spelt = fc
  .tuple(
    fc.constantFrom('1', '0', '007', '-1', '123456789012345', '1234567890123456', '"1"', '1.5'),
    fc.constantFrom('domid', 'lookup', 'domidd', 'list'),
    fc.oneof(
      fc.constant('6d4f1a5e-0b7c-4c4e-9d2a-3f1e5b7a9c01'),
      fc.string({ minLength: 34, maxLength: 38 }),
    ),
    fc.boolean(),
    fc.constantFrom('', ' ', '\r', '}', ',"x":1'),
  )
  .map(([id, method, uuid, idFirst, extra]) => {
    const params = `"method":"${method}","params":{"uuid":"${uuid}"}`;
    return idFirst
      ? `{"jsonrpc":"2.0","id":${id},${params}}${extra}`
      : `{"jsonrpc":"2.0",${params},"id":${id}}${extra}`;
  });

const bytes = fc.array(
  fc.oneof(fc.constantFrom(0x0a, 0x0d, 0x7b, 0x22, 0xe2, 0x82, 0xac), fc.nat(255)),
  { maxLength: 60 },
);

export function lineReader(): Target {
  return {
    name: 'line-reader',
    inputs: fc.oneof(
      { weight: 500, arbitrary: bytes.map((codes) => Uint8Array.from(codes)) },
      {
        weight: 500,
        arbitrary: fc
          .array(spelt, { minLength: 1, maxLength: 3 })
          .map((lines) => Buffer.from(lines.join('\n'))),
      },
      {
        weight: 3,
        arbitrary: fc
          .tuple(bytes, fc.integer({ min: -2, max: 3 }), bytes)
          .map(([before, more, after]) =>
            Buffer.concat([
              Uint8Array.from(before),
              Buffer.alloc(LINE_BYTES_MAX + more, 'x'),
              Uint8Array.from(after),
            ]),
          ),
      },
    ),
    check(input) {
      for (const chunks of pieces(input)) checkLines(input, chunks);
      let from = 0;
      while (from < input.length && input.length < 1000) {
        const newline = input.indexOf(NEWLINE, from);
        const end = newline === -1 ? input.length : newline;
        const line = Buffer.from(input.subarray(from, end));
        const text = line.toString('latin1');
        demand(decodeLine(text) === decoded(line), `other text than UTF-8 has: ${text}`);
        checkHot(text);
        from = end + 1;
      }
    },
  };
}
