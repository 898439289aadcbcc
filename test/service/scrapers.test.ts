import { expect, test } from '@jest/globals';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { BoundedLog } from '../../src/service/bounded-log.ts';
import { listenForMetrics } from '../../src/service/http/metrics-listener.ts';
import { ScraperCounts, Scrapers } from '../../src/service/http/scrapers.ts';

/** More than the kernel buffers of a connection. */
const LONG = 'x'.repeat(32_000_000);
const CONNECTIONS = 16;

test('a connection with an unread answer makes room, the longest first', async () => {
  const log: string[] = [];
  const counts = new ScraperCounts();
  const listener = await listenForMetrics('127.0.0.1:0', {
    pages: {
      metrics: async () => ({ contentType: 'text/plain', text: LONG }),
      health: async () => ({ healthy: true, body: {} }),
    },
    scrapers: new Scrapers(counts, new BoundedLog((_, text) => log.push(text), 'clients')),
    onMistake: (error) => {
      throw error;
    },
  });
  const port = Number(listener.address.split(':')[1]);
  const held = Array.from({ length: CONNECTIONS }, () =>
    createConnection(port).on('error', () => undefined),
  );
  const ended: number[] = [];
  for (const [n, socket] of held.entries()) {
    socket.once('close', () => ended.push(n));
    socket.write('GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(100));
    // Reads the first bytes of the answer, and nothing after that.
    // oxlint-disable-next-line no-await-in-loop -- in this order
    await once(socket, 'readable');
  }
  for (let n = 0; n < 3; n++) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    const health = await fetch(`http://${listener.address}/healthz`);
    expect(health.status).toBe(200);
    expect(health.headers.get('connection')).toBe('close');
    // oxlint-disable-next-line no-await-in-loop
    await health.text();
  }
  expect(counts).toMatchObject({ turnedAway: 0 });
  expect(log[0]).toMatch(/^a scraper at .* ended with an unread answer: other scrapers/);
  held[0]?.resume();
  if (ended.length === 0) await once(held[0] as never, 'close');
  expect(ended).toEqual([0]);
  for (const socket of held) socket.destroy();
  await listener.close();
});
