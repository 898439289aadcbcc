/** Random bytes and random JSON: no crash, no hang, no answer without a request. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { Dispatcher } from '../../src/service/answers/dispatcher.ts';
import { decodeLine, LineReader } from '../../src/service/connections/line-reader.ts';
import { methodsOf } from '../../src/service/answers/methods.ts';
import { LongText, type Text } from '../../src/service/answers/text.ts';
import { RequestCounts } from '../../src/service/answers/request-counts.ts';
import { Pace } from '../../src/service/answers/shared-calls.ts';
import { uuidOf } from '../support/vms.ts';
import { Client, type Message, openRoom, type Room } from '../support/daemon-room.ts';

const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31);
let room: Room;
let dispatcher: Dispatcher;
const mistakes: unknown[] = [];

beforeAll(async () => {
  // oxlint-disable-next-line no-console -- needed to repeat a failure
  console.log(`FUZZ_SEED=${seed}`);
  room = await openRoom();
  const counts = new RequestCounts();
  const { inventory } = room;
  const methods = methodsOf({
    inventory,
    pace: new Pace(),
    counts,
    packageVersion: '0.0.0',
    stats: () => ({}),
    version: () => ({}),
  });
  dispatcher = new Dispatcher({
    inventory,
    methods,
    counts,
    onMistake: (error) => mistakes.push(error),
  });
});
afterAll(() => room.close());

const textOf = (text: Text): string =>
  text instanceof LongText ? [...text.slices].join('') : text;

/** Tells whether JSON-RPC allows `reply` as the answer to `message`. */
function checkReply(message: Message, reply: string | undefined): void {
  if (Array.isArray(message) && message.length > 0) {
    const due = message.filter((one) => !isNotification(one));
    if (reply === undefined) {
      expect(due).toEqual([]);
      return;
    }
    const replies = JSON.parse(reply) as Message[];
    if (!Array.isArray(replies)) throw new Error('a batch is answered by a batch');
    if (replies.length !== due.length) throw new Error('not one answer for each');
    due.forEach((one, index) => checkOne(one, replies[index]));
  } else if (reply === undefined) {
    if (!isNotification(message)) throw new Error('no answer');
  } else {
    checkOne(message, JSON.parse(reply));
  }
}

function isNotification(message: Message): boolean {
  return (
    typeof message === 'object' &&
    message !== null &&
    !Array.isArray(message) &&
    !Object.hasOwn(message, 'id') &&
    message.jsonrpc === '2.0' &&
    typeof message.method === 'string' &&
    (message.params === undefined || typeof message.params === 'object')
  );
}

function checkOne(message: Message, reply: Message): void {
  const { jsonrpc, id, result, error, ...others } = reply;
  if (jsonrpc !== '2.0' || Object.keys(others).length > 0) throw new Error('no JSON-RPC');
  if ((result === undefined) === (error === undefined)) throw new Error('neither, or both');
  const asked = Object.hasOwn(Object(message), 'id') ? message.id : null;
  const canBeTold =
    asked === null ||
    typeof asked === 'string' ||
    (typeof asked === 'number' && Number.isFinite(asked));
  // JSON has no -0: it becomes 0.
  if (id !== null && !(canBeTold && (id === asked || Object.is(asked, -0))))
    throw new Error('a wrong id');
  if (result !== undefined && id !== asked && !Object.is(asked, -0)) throw new Error('another id');
  if (error !== undefined && typeof error.code !== 'number') throw new Error('no code');
}

// Mostly known UUIDs: each unknown one needs a list, and lists take at most a fifth of the time.
const uuid = fc.oneof(
  { weight: 1, arbitrary: fc.constant(uuidOf(9) as string) },
  { weight: 60, arbitrary: fc.integer({ min: 1, max: 3 }).map((n) => uuidOf(n) as string) },
  { weight: 30, arbitrary: fc.string({ maxLength: 40 }) },
  { weight: 10, arbitrary: fc.jsonValue({ maxDepth: 2 }) },
);
const id = fc.oneof(fc.integer(), fc.string({ maxLength: 8 }), fc.jsonValue({ maxDepth: 1 }));
const one = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record(
      {
        jsonrpc: fc.constantFrom('2.0', '2.0', '2.0', '1.0', 2),
        id,
        method: fc.constantFrom(
          'lookup',
          'domid',
          'get',
          'lookupMany',
          'version',
          'subscribe',
          'unsubscribe',
          'toString',
          '',
          7,
        ),
        params: fc.oneof(
          fc.record({ uuid }),
          fc.record({
            domid: fc.oneof(fc.integer({ min: -2, max: 8 }), fc.jsonValue({ maxDepth: 1 })),
          }),
          fc.record({ uuids: fc.array(uuid, { maxLength: 3 }) }),
          fc.record({ subscription: fc.integer() }),
          fc.jsonValue({ maxDepth: 2 }),
        ),
      },
      { requiredKeys: [] },
    ),
  },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
);
const CALLER = { isGone: false, gone: new AbortController().signal, session: undefined };

const message = fc.oneof(
  { weight: 9, arbitrary: one },
  { weight: 1, arbitrary: fc.array(one, { maxLength: 4 }) },
);

it('answers any JSON as JSON-RPC specifies', async () => {
  await fc.assert(
    fc.asyncProperty(message, async (asked) => {
      const text = JSON.stringify(asked);
      const reply = dispatcher.answer(text, CALLER);
      const settled = reply instanceof Promise ? await reply : reply;
      checkReply(JSON.parse(text), settled === undefined ? undefined : textOf(settled));
    }),
    { numRuns: 36_000, seed },
  );
  expect(mistakes).toEqual([]);
}, 60_000);

it('gives the same answer on the fast path as on the slow one', () => {
  const spelt = fc.tuple(
    fc.oneof(
      fc.integer({ min: 0 }).map(String),
      fc.constantFrom('01', '-1', '1.0', '"1"', '', '1e3', '1234567890123456'),
    ),
    fc.constantFrom('domid', 'lookup', 'lookuq', 'domidd'),
    fc.oneof(
      fc.integer({ min: 1, max: 3 }).map((n) => uuidOf(n) as string),
      fc.string({ minLength: 36, maxLength: 36 }),
    ),
    fc.constantFrom('', ' ', '}', ',"x":1', '\\u0030'),
    fc.boolean(),
  );
  let fast = 0;
  fc.assert(
    fc.property(spelt, ([number, method, asked, extra, idFirst]) => {
      const line = idFirst
        ? `{"jsonrpc":"2.0","id":${number},"method":"${method}","params":{"uuid":"${asked}"}${extra}}`
        : `{"jsonrpc":"2.0","method":"${method}","params":{"uuid":"${asked}"},"id":${number}${extra}}`;
      const known = dispatcher.answerKnown(`ab\n${line}\n`, 3, 3 + line.length);
      if (known === undefined) return;
      fast++;
      const slow = dispatcher.answer(line, CALLER);
      expect(JSON.parse(known)).toEqual(JSON.parse(textOf(slow as Text)));
    }),
    { numRuns: 12_000, seed },
  );
  expect(fast).toBeGreaterThan(200);
});

it('finds the same lines for any division into chunks', () => {
  const bytes = fc.array(
    fc.oneof(fc.constantFrom(0x0a, 0x0d, 0x7b, 0x22, 0xff, 0xe2), fc.integer({ min: 0, max: 255 })),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(
      bytes,
      fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 }),
      (sent, cuts) => {
        const all = Buffer.from(sent);
        const reader = new LineReader();
        let read = '';
        for (let at = 0, cut = 0; at < all.length; cut++) {
          const to = at + (cuts[cut % cuts.length] ?? 1);
          read += reader.push(all.subarray(at, to));
          at = to;
        }
        expect(read + reader.peek()).toBe(all.toString('latin1'));
        expect(read.endsWith('\n') || read === '').toBe(true);
        for (const line of read.split('\n')) decodeLine(line);
      },
    ),
    { numRuns: 50_000, seed },
  );
});

it('survives any bytes on a socket, and answers the next client', async () => {
  const bytes = fc.uint8Array({ maxLength: 200 });
  const text = fc.oneof(
    message.map((asked) => JSON.stringify(asked)),
    fc.string(),
  );
  const inputs = fc.sample(fc.oneof(bytes, text), { numRuns: 4000, seed });
  for (let from = 0; from < inputs.length; from += 40) {
    // oxlint-disable-next-line no-await-in-loop -- one connection after the other
    const client = await Client.connect(room.path);
    // Lines, not HTTP.
    client.send('\n');
    for (const input of inputs.slice(from, from + 40)) {
      client.send(input);
      client.send('\n');
    }
    client.socket.end();
    // oxlint-disable-next-line no-await-in-loop
    await client.untilEnd();
  }
  const client = await Client.connect(room.path);
  expect((await client.call('domid', { uuid: uuidOf(1) })).result.domid).toBe(1);
  client.close();
}, 60_000);
