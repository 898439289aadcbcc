import { describe, expect, test } from '@jest/globals';
import type { InventoryClient } from '../../../src/client/client.ts';
import { HostAnswers } from '../../../src/pool/bridge/host-answers.ts';
import { type HostName, PoolNames } from '../../../src/pool/names.ts';
import type { Msg, NatsConnection } from '../../../src/pool/nats.ts';
import type { LookupResult } from '../../../src/results.ts';
import type { Uuid } from '../../../src/uuid.ts';
import { madeUpDomain } from '../../support/made-up-domain.ts';
import { until } from '../../support/until.ts';
import { uuidOf } from '../../support/vms.ts';

const HOST = 'a' as HostName;
const names = new PoolNames();
const never = new Promise<never>(() => undefined);

const ONE: LookupResult = {
  status: 'found',
  domain: madeUpDomain(3, { uuid: uuidOf(1) }),
  source: 'cache',
};
const TWO: LookupResult = {
  status: 'ambiguous',
  domains: [madeUpDomain(4, { uuid: uuidOf(2) }), madeUpDomain(5, { uuid: uuidOf(2) })],
};

type Take = (error: Error | null, message: Msg) => void;

interface Stage {
  readonly answers: HostAnswers;
  /** Sends a request. @returns its replies so far. */
  readonly ask: (method: string, params: unknown) => unknown[];
  /** Sends a request with this reply subject, or without one. @returns the subjects of the replies so far. */
  readonly askFor: (reply: string | undefined) => readonly string[];
}

function stage(client: Partial<InventoryClient>, isOpen = true): Stage {
  const takers: Take[] = [];
  const published: string[] = [];
  const replies = new Map<string, unknown[]>();
  const connection = {
    isClosed: () => false,
    publish: (subject: string, text: string) => {
      published.push(subject);
      replies.get(subject)?.push(JSON.parse(text));
    },
    subscribe: (_: string, { callback }: { callback: Take }) => {
      takers.push(callback);
      return { unsubscribe: () => undefined };
    },
  } as unknown as NatsConnection;
  const entry = { bridge: 'b', epoch: 'e', revision: 1, domains: 1, version: '1', xen: '4.17' };
  const answers = new HostAnswers({
    client: client as InventoryClient,
    connection,
    names,
    host: HOST,
    entry: () => entry,
    isOpen: () => isOpen,
    leftMs: () => 7.9,
  });
  const send = (subject: string, text: string, reply: string | undefined): void =>
    takers[0]?.(null, {
      subject,
      data: Buffer.from(text),
      string: () => text,
      reply,
    } as unknown as Msg);
  let requests = 0;
  const ask = (method: string, params: unknown): unknown[] => {
    const reply = names.reply('reader', String(++requests));
    const got: unknown[] = [];
    replies.set(`${reply}.${HOST}`, got);
    send(names.ask(HOST, method as '*'), JSON.stringify(params), reply);
    return got;
  };
  const askFor = (reply: string | undefined): readonly string[] => {
    send(names.ask(HOST, 'status'), '{}', reply);
    return published;
  };
  return { answers, ask, askFor };
}

const known = (uuid: Uuid): LookupResult =>
  uuid === uuidOf(1) ? ONE : uuid === uuidOf(2) ? TWO : { status: 'notFound' };
const client = {
  lookup: async (uuid: string) => known(uuid as Uuid),
  lookupMany: async (uuids: readonly string[]) => uuids.map((uuid) => known(uuid as Uuid)),
};

describe('a bridge answers', () => {
  test('domid with domids only, and since when the host has had no such VM', async () => {
    const { ask } = stage(client);
    const replies = ask('domid', { uuids: [uuidOf(1), uuidOf(2), uuidOf(3)] });
    await until(() => replies.length === 1);
    expect(replies).toEqual([
      {
        result: [
          { status: 'found', domid: 3 },
          { status: 'ambiguous', domids: [4, 5] },
          { status: 'notFound', leftMs: 7 },
        ],
      },
    ]);
  });

  test('lookup with domains', async () => {
    const { ask } = stage(client);
    const replies = ask('lookup', { uuids: [uuidOf(1)] });
    await until(() => replies.length === 1);
    expect(replies).toMatchObject([{ result: [{ status: 'found', domain: { domid: 3 } }] }]);
  });

  test('only status before the name of the host is its own', async () => {
    const { ask } = stage(client, false);
    const [status, lookup] = [ask('status', {}), ask('lookup', { uuids: [uuidOf(1)] })];
    await until(() => status.length + lookup.length === 2);
    expect(status).toMatchObject([{ result: { bridge: 'b' } }]);
    expect(lookup).toMatchObject([{ error: {} }]);
  });
});

test('a bridge publishes an answer only to the reply subjects of pools, below its own name', async () => {
  const { askFor } = stage(client);
  for (const reply of [
    undefined,
    '_INBOX.abc.1',
    '$KV.xen-domid.vm.x',
    'xen-domid.answer.x',
    'xen-domid.answer.x.1.b',
    'xen-domid.answer.x.>',
    'xen-domid.answer..1',
    'xen-domidXanswer.x.1',
    'more.xen-domid.answer.x.1',
  ])
    askFor(reply);
  const subjects = askFor('xen-domid.answer.x.1');
  await until(() => subjects.length > 0);
  expect(subjects).toEqual(['xen-domid.answer.x.1.a']);
});

describe('the daemon is asked a bounded amount at a time:', () => {
  test('2000 UUIDs', async () => {
    const { ask, answers } = stage({ lookupMany: () => never });
    const uuids = Array.from({ length: 500 }, (_, vm) => uuidOf(vm));
    const taken = [0, 1, 2, 3].map(() => ask('lookup', { uuids }));
    const refused = ask('lookup', { uuids: [uuidOf(1)] });
    await until(() => refused.length === 1);
    expect(refused).toMatchObject([
      { error: { message: expect.stringContaining('too many requests') } },
    ]);
    expect(taken).toEqual([[], [], [], []]);
    expect(answers.counts.refused).toBe(1);
  });

  test('500 UUIDs in one request', async () => {
    const { ask } = stage({ lookupMany: () => never });
    const refused = ask('lookup', { uuids: Array.from({ length: 501 }, (_, vm) => uuidOf(vm)) });
    await until(() => refused.length === 1);
    expect(refused).toMatchObject([{ error: { message: expect.stringContaining('at most 500') } }]);
  });

  test('four lists and feeds', async () => {
    const { ask, answers } = stage({ list: () => never });
    for (let list = 0; list < 4; list++) ask(list % 2 === 0 ? 'list' : 'feed', {});
    const refused = ask('list', {});
    await until(() => refused.length === 1);
    expect(refused).toMatchObject([{ error: {} }]);
    expect(answers.counts).toMatchObject({ list: 3, feed: 2, refused: 1 });
  });
});
