/** `GET /events`: the change feed as server-sent events. */
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { EventSource } from 'eventsource';
import { Agent, fetch } from 'undici';
import { bootVm, destroyVm } from '../../src/simulator/index.ts';
import { Client, type Message, openRoom, type Room } from '../support/daemon-room.ts';
import { EventClient } from '../support/event-client.ts';
import { ExampleService, NEW } from '../support/example-service.ts';
import { until } from '../support/until.ts';
import { uuidOf } from '../support/vms.ts';

let room: Room;
const clients: { close(): void }[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await room?.close();
  room = undefined as never;
});

async function follow(token?: string): Promise<EventClient> {
  const client = await EventClient.connect(room.path, token);
  clients.push(client);
  return client;
}

async function subscribers(): Promise<number> {
  const client = await Client.connect(room.path);
  const { result } = await client.call('stats');
  client.close();
  return result.subscribers;
}

/** Creates and destroys domains: in the end nothing has changed. */
async function comeAndGo(vms: number): Promise<void> {
  const domids = Array.from({ length: vms }, (_, n) =>
    room.host.createDomain({ uuid: uuidOf(10_000 + n) }),
  );
  await room.inventory.list();
  for (const domid of domids) room.host.destroy(domid);
  await room.inventory.list();
}

/** Sends `text` and half-closes. @returns everything that comes. */
async function exchange(text: string): Promise<string> {
  const client = createConnection({ path: room.path, allowHalfOpen: true });
  let answer = '';
  client.setEncoding('utf8').on('data', (chunk: string) => (answer += chunk));
  client.end(text);
  await once(client, 'end');
  client.destroy();
  return answer;
}

const GET = 'GET /events HTTP/1.1\r\nHost: x\r\n';

describe('the stream', () => {
  it('begins with a snapshot, and has each change with its token as id', async () => {
    room = await openRoom({ xenstore: true });
    const client = await follow();
    const snapshot = await client.next();
    expect(snapshot).toMatchObject({ event: 'snapshot', id: room.inventory.token });
    expect(snapshot.data.token).toBe(snapshot.id);
    expect(snapshot.data.domains).toMatchObject([{ domid: 1 }, { domid: 2 }, { domid: 3 }]);
    expect(client.retryMs).toBe(1000);
    const domid = bootVm(room.host, room.xenstored, { uuid: uuidOf(9) });
    const created = await client.next();
    expect(created).toMatchObject({
      event: 'changes',
      id: created.data.token,
      data: { changes: [{ kind: 'created', domid, uuid: uuidOf(9), domain: { domid } }] },
    });
    destroyVm(room.host, room.xenstored, domid);
    const changes = (): Message[] => client.events.flatMap(({ data }) => data.changes);
    await client.until(() => changes().at(-1)?.kind === 'destroyed');
    expect(changes().at(-1)).toMatchObject({ kind: 'destroyed', domid, previous: { domid } });
  });

  it('leads on from a token, and begins anew from one that it does not know', async () => {
    room = await openRoom({ xenstore: true });
    const { token } = await room.inventory.list();
    const domid = bootVm(room.host, room.xenstored, { uuid: uuidOf(9) });
    await room.inventory.list();
    const known = await follow(token);
    expect(await known.next()).toMatchObject({
      event: 'changes',
      id: room.inventory.token,
      data: { changes: [{ kind: 'created', domid }] },
    });
    const newest = await follow(room.inventory.token);
    room.host.destroy(domid);
    await room.inventory.list();
    expect(await newest.next()).toMatchObject({ data: { changes: [{ kind: 'destroyed' }] } });
    for (const strange of ['x:1', `${token}9`, `${token}, ${token}`, 'ü', '-1', '%00', '{}']) {
      // oxlint-disable no-await-in-loop -- one after the other
      const client = await follow(strange);
      const first = await client.next();
      expect(first).toMatchObject({ event: 'resync', id: room.inventory.token });
      expect(first.data.domains).toHaveLength(3);
      // oxlint-enable no-await-in-loop
    }
    expect(await (await follow('')).next()).toMatchObject({ event: 'snapshot' });
  });

  it('is followed by an EventSource, from its last event when the connection is lost, and over a restart', async () => {
    const example = await ExampleService.start();
    let dispatcher = new Agent({ connect: { socketPath: example.socketPath } });
    const source = new EventSource('http://localhost/events', {
      fetch: (url, init) => fetch(url.toString(), { ...init, dispatcher }),
    });
    try {
      const told: string[] = [];
      const tell = ({ type, lastEventId, data }: MessageEvent): void => {
        const { changes, domains, token } = JSON.parse(data as string);
        expect(lastEventId).toBe(token);
        const kinds = changes?.map(({ kind, domid }: Message) => `${kind} ${domid}`);
        told.push(`${type}: ${kinds?.join() ?? domains.length}`);
      };
      for (const kind of ['snapshot', 'changes', 'resync']) source.addEventListener(kind, tell);
      await until(() => told.length === 1);
      const lost = dispatcher;
      dispatcher = new Agent({ connect: { socketPath: example.socketPath } });
      await lost.destroy();
      example.boot(8, NEW, 'web-2');
      await until(() => told.length === 2);
      await example.stopService();
      await example.startService();
      await until(() => told.length === 3);
      expect(told).toEqual(['snapshot: 2', 'changes: created 8', 'resync: 3']);
    } finally {
      source.close();
      await dispatcher.destroy();
      await example.close();
    }
  });

  it('ends with the service', async () => {
    room = await openRoom();
    const client = await follow();
    await client.next();
    await room.daemon.close();
    await client.untilEnd();
    expect(client.events).toEqual([]);
  });

  it('has a comment now and then while nothing happens', async () => {
    jest.useFakeTimers({
      doNotFake: [
        'nextTick',
        'setImmediate',
        'setTimeout',
        'queueMicrotask',
        'performance',
        'Date',
      ],
    });
    try {
      room = await openRoom();
      const client = await follow();
      await client.next();
      jest.advanceTimersByTime(15_000);
      await client.until(() => client.comments.length === 1);
      expect(client.comments).toEqual(['']);
      expect(client.events).toEqual([]);
    } finally {
      jest.useRealTimers();
    }
  });
});

describe('a request for the stream', () => {
  it('by HEAD has the headers only, and another method is refused', async () => {
    room = await openRoom();
    const head = await EventClient.ask(room.path, undefined, 'HEAD');
    expect(head.statusCode).toBe(200);
    expect(head.headers['content-type']).toBe('text/event-stream');
    await once(head.resume(), 'end');
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const answer = await EventClient.ask(room.path, undefined, method);
      answer.resume();
      expect(answer.statusCode).toBe(405);
      expect(answer.headers.allow).toBe('GET, HEAD');
    }
    expect(await subscribers()).toBe(0);
  });

  it('is answered behind others on the same connection, and nothing behind it', async () => {
    room = await openRoom();
    const text = await exchange(
      `GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n${GET}\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n`,
    );
    expect(text.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(2);
    expect(text).toMatch(
      /"xenstore":false\}\nHTTP\/1\.1 200 OK[^]*\r\n\r\nretry: 1000\n\nevent: snapshot\n/,
    );
    expect(text).toMatch(/\}\n\n$/);
  });

  it.each(['HTTP/1.0', 'HTTP/1.1'])(
    'of %s that half-closes gets the snapshot, then the end',
    async (version) => {
      room = await openRoom();
      const text = await exchange(`GET /events ${version}\r\nHost: x\r\n\r\n`);
      expect(text).toMatch(
        /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nretry: 1000\n\nevent: snapshot\nid: \S+\ndata: .*\n\n$/,
      );
      expect(text).not.toMatch(/transfer-encoding/i);
      expect(await subscribers()).toBe(0);
    },
  );

  it('is refused while the hypervisor cannot be asked', async () => {
    room = await openRoom();
    room.hypervisor.failNext('sysctl', 'EPERM');
    const refused = await EventClient.ask(room.path);
    expect(refused.statusCode).toBe(503);
    expect(refused.headers['retry-after']).toBe('1');
    const [text] = (await once(refused.setEncoding('utf8'), 'data')) as [string];
    expect(text).toMatch(/EPERM|permi/i);
    expect((await (await follow()).next()).event).toBe('snapshot');
  });
});

describe('a client of the stream', () => {
  it('that has gone is forgotten at once', async () => {
    room = await openRoom();
    const crowd = await Promise.all(Array.from({ length: 20 }, () => follow()));
    await Promise.all(crowd.map((client) => client.next()));
    expect(await subscribers()).toBe(20);
    for (const client of crowd) client.close();
    // Before a comment in the quiet streams would show it.
    await until(async () => (await subscribers()) === 0, { timeoutMs: 10_000 });
  });

  it('that goes before it is answered leaves nothing', async () => {
    room = await openRoom();
    room.hypervisor.stallLists();
    for (let n = 0; n < 20; n++) {
      const socket = createConnection({ path: room.path });
      socket.write(`${GET}\r\n`, () => socket.destroy());
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await once(socket, 'close');
    }
    room.hypervisor.resumeLists();
    const last = await follow();
    await last.next();
    expect(await subscribers()).toBe(1);
    expect(room.log.filter((line) => line.startsWith('error'))).toEqual([]);
  });
});

const kinds = (client: EventClient): unknown[] => client.events.map(({ event }) => event);

describe('a slow reader of the stream', () => {
  /** Domains enough for a snapshot that exceeds the buffers of a socket. */
  const MANY = 4000;

  async function slow(options: object = {}): Promise<EventClient> {
    room = await openRoom({ vms: MANY, ...options });
    const client = await follow();
    client.pause();
    await until(async () => (await subscribers()) === 1);
    return client;
  }

  it('gets changes one and all as long as there are few', async () => {
    const client = await slow();
    await comeAndGo(10);
    client.resume();
    await client.until(() => client.events.at(-1)?.id === room.inventory.token);
    expect(kinds(client)).toEqual(['snapshot', 'changes']);
    expect(client.events[1]?.data.changes).toHaveLength(20);
  });

  it('begins anew where there were more than are kept', async () => {
    const client = await slow();
    for (let n = 0; n < 5; n++) {
      // oxlint-disable-next-line no-await-in-loop -- 10,000 changes
      await comeAndGo(1000);
    }
    room.host.destroy(1);
    await room.inventory.list();
    client.resume();
    await client.until(() => client.events.at(-1)?.id === room.inventory.token);
    expect(kinds(client)).toEqual(['snapshot', 'resync']);
    expect(client.events[1]?.data.domains).toHaveLength(MANY - 1);
  });

  it('is out in the end, is told why, and can go on from its last event', async () => {
    const client = await slow({ bounds: { behindMs: 300 } });
    const why = 'left changes unread for 0.3 s';
    for (let changes = 0; !room.log.some((line) => line.includes(why)); changes++) {
      if (changes > 2000) throw new Error('it is still there');
      // oxlint-disable-next-line no-await-in-loop -- poll
      await comeAndGo(1);
    }
    expect(room.log.join()).toMatch(/pid \d+, uid \d+: subscription \d+ left changes/);
    expect(await subscribers()).toBe(0);
    client.resume();
    await client.untilEnd();
    expect(kinds(client)).toEqual(['snapshot', 'end']);
    expect(client.events[1]?.data.message).toContain(why);
    const again = await follow(client.events[0]?.id);
    expect((await again.next()).event).toBe('changes');
  });

  it('is counted with its unread events, and ended where all together take too much', async () => {
    room = await openRoom({ vms: MANY, bounds: { memoryBytes: 1_000_000 } });
    const client = await follow();
    client.pause();
    await until(() => room.log.some((line) => line.includes('use too much memory')));
    client.resume();
    await client.untilEnd();
    expect(client.events).toEqual([]);
    const { result } = await (await Client.connect(room.path)).call('stats');
    expect(result.connections.ended.memory).toBe(1);
  });
});
