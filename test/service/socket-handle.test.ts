/** Uses of Node's internal socket fields, checked on the Node that runs the tests. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { shareReadBuffer } from '../../src/service/connections/socket-handle.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'xen-domid-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** A connection: both ends. */
type Pair = readonly [client: Socket, served: Socket];

async function connected(use: (pairs: readonly Pair[]) => Promise<void>): Promise<void> {
  const path = join(directory, 'socket');
  const server = createServer({ allowHalfOpen: true }).listen(path);
  await once(server, 'listening');
  const pairs: Pair[] = [];
  try {
    for (let n = 0; n < 2; n++) {
      const accepted = once(server, 'connection') as Promise<[Socket]>;
      const client = createConnection(path);
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const [served] = await accepted;
      pairs.push([client, served]);
    }
    await use(pairs);
  } finally {
    for (const socket of pairs.flat()) socket.destroy();
    server.close();
  }
}

it('all connections read into one buffer, from the first byte to the half-close', async () => {
  await connected(async (pairs) => {
    const buffers = new Set<ArrayBufferLike>();
    const texts = pairs.map(async ([client, served]) => {
      let text = '';
      shareReadBuffer(served);
      served.on('data', (chunk: Buffer) => {
        buffers.add(chunk.buffer);
        text += chunk.toString();
      });
      const first = once(served, 'data');
      client.write('one,');
      await first;
      client.end('two');
      await once(served, 'end');
      return text;
    });
    expect(await Promise.all(texts)).toEqual(['one,two', 'one,two']);
    expect(buffers.size).toBe(1);
  });
});

it('a paused connection is not read, and loses nothing', async () => {
  await connected(async ([pair]) => {
    const [client, served] = pair as Pair;
    let read = 0;
    let readWhilePaused = 0;
    shareReadBuffer(served);
    served.on('data', (chunk: Buffer) => {
      read += chunk.length;
      if (served.isPaused()) readWhilePaused++;
      served.pause();
      setImmediate(() => served.resume());
    });
    const sent = Buffer.alloc(3_000_000, 'x');
    client.end(sent);
    await once(served, 'end');
    expect(read).toBe(sent.length);
    expect(readWhilePaused).toBe(0);
  });
});
