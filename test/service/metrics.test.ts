/** The metrics: their text, and what a service leaves behind in its process. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { get } from 'node:http';
import { text } from 'node:stream/consumers';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from '@jest/globals';
import { expositionOf, histogramSamples } from '../../src/service/exposition.ts';
import { cannot } from '../lab/cannot.ts';
import { openRoom, type Room } from '../support/daemon-room.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

async function scrape(room: Room): Promise<string> {
  const request = get({ socketPath: room.path, path: '/metrics', agent: false });
  const [response] = (await once(request, 'response')) as [import('node:http').IncomingMessage];
  expect(response.statusCode).toBe(200);
  return await text(response);
}

async function scrapedAndEnded(): Promise<WeakRef<object>> {
  const room = await openRoom();
  await scrape(room);
  const inventory = new WeakRef(room.inventory);
  await room.close();
  return inventory;
}

it('are written in the format of Prometheus, labels escaped', () => {
  const metrics = expositionOf([
    {
      type: 'counter',
      name: 'a_total',
      help: 'As.',
      samples: () => [
        [{ x: '1', y: 'say "\\" in\ntwo lines' }, 2],
        [{}, 0.5],
      ],
    },
    { type: 'gauge', name: 'nothing', help: 'Left out.', samples: () => [] },
    {
      type: 'histogram',
      name: 'h_seconds',
      help: 'A histogram.',
      samples: () => histogramSamples({ k: 'v' }, [1, 0, 2], [0.1, 1, Infinity], 7.5),
    },
  ]);
  expect(metrics).toBe(
    String.raw`# HELP a_total As.
# TYPE a_total counter
a_total{x="1",y="say \"\\\" in\ntwo lines"} 2
a_total 0.5
# HELP h_seconds A histogram.
# TYPE h_seconds histogram
h_seconds_bucket{k="v",le="0.1"} 1
h_seconds_bucket{k="v",le="1"} 1
h_seconds_bucket{k="v",le="+Inf"} 3
h_seconds_sum{k="v"} 7.5
h_seconds_count{k="v"} 3
`,
  );
});

it('show the process: memory, CPU time, descriptors, garbage collections and the delay of the event loop', async () => {
  const room = await openRoom();
  await scrape(room);
  collect();
  // A collection is reported in a later turn, the event loop is sampled every 50 ms.
  await new Promise((resolve) => setTimeout(resolve, 200));
  const metrics = await scrape(room);
  await room.close();
  const valueOf = (name: string): number =>
    Number(
      metrics
        .split('\n')
        .find((line) => line.startsWith(`${name} `))
        ?.split(' ')[1],
    );
  const rss = process.memoryUsage().rss;
  expect(valueOf('process_resident_memory_bytes')).toBeGreaterThan(rss / 2);
  expect(valueOf('process_resident_memory_bytes')).toBeLessThan(rss * 2);
  expect(valueOf('process_cpu_seconds_total')).toBeGreaterThan(0.1);
  expect(valueOf('process_open_fds')).toBeGreaterThan(5);
  expect(valueOf('process_max_fds')).toBeGreaterThan(valueOf('process_open_fds'));
  expect(Date.now() / 1000 - valueOf('process_start_time_seconds')).toBeGreaterThan(0);
  expect(valueOf('nodejs_eventloop_lag_p99_seconds')).toBeGreaterThan(0.04);
  expect(valueOf('nodejs_eventloop_lag_p99_seconds')).toBeLessThan(10);
  expect(valueOf('nodejs_gc_duration_seconds_count{kind="major"}')).toBeGreaterThan(0);
});

const promtool = cannot(spawnSync('promtool', ['--version']).error && 'there is no promtool');

promtool('are nothing that promtool complains about', async () => {
  const room = await openRoom();
  await scrape(room);
  const metrics = await scrape(room);
  await room.close();
  const check = spawnSync('promtool', ['check', 'metrics'], { input: metrics, encoding: 'utf8' });
  expect(check.stdout + check.stderr).toBe('');
  expect(check.status).toBe(0);
});

it('let go of a service that was scraped and has ended', async () => {
  const inventory = await scrapedAndEnded();
  for (let turn = 0; turn < 500 && inventory.deref() !== undefined; turn++) {
    // oxlint-disable-next-line no-await-in-loop -- until no pending callback holds it
    await nextTurn();
    if (turn % 10 === 0) collect();
  }
  expect(inventory.deref()).toBeUndefined();
});
