/** The metrics: their text, and what a service leaves behind in its process. */
import { spawnSync } from 'node:child_process';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, it } from '@jest/globals';
import { expositionOf, histogramSamples } from '../../src/service/exposition.ts';
import { cannot } from '../lab/cannot.ts';
import { openRoom, type Room } from '../support/daemon-room.ts';
import { scrape as scrapePath } from '../support/scrape.ts';
import { uuidOf } from '../support/vms.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const scrape = (room: Room): Promise<string> => scrapePath(room.path);

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

const ofDomains = (metrics: string): string[] =>
  metrics.split('\n').filter((line) => line.startsWith('xen_domid_domain_'));

describe('of each domain', () => {
  let room: Room;

  afterEach(() => room.close());

  it('are left out unless they are asked for', async () => {
    room = await openRoom();
    const metrics = await scrape(room);
    expect(ofDomains(metrics)).toEqual([]);
    expect(metrics).not.toContain(uuidOf(1));
  });

  it('are CPU time, memory and state, of dom0 and the VMs that there are', async () => {
    room = await openRoom({ vms: 4, domainMetrics: true });
    const states = async (): Promise<string[]> =>
      ofDomains(await scrape(room)).flatMap((line) => /_state\{(.*)\} 1$/.exec(line)?.[1] ?? []);
    room.host.unpause(1);
    room.host.shutdown(2, 3);
    room.host.shutdown(3, 0);
    expect(await states()).toEqual([
      'domid="0",uuid="00000000-0000-0000-0000-000000000000",state="running"',
      `domid="1",uuid="${uuidOf(1)}",state="running"`,
      `domid="2",uuid="${uuidOf(2)}",state="crashed"`,
      `domid="3",uuid="${uuidOf(3)}",state="shutdown"`,
      `domid="4",uuid="${uuidOf(4)}",state="paused"`,
    ]);
    const { domains } = await room.inventory.list();
    const memory = domains[0]?.memoryBytes;
    const lines = ofDomains(await scrape(room));
    expect(lines).toContain(
      `xen_domid_domain_memory_bytes{domid="1",uuid="${uuidOf(1)}"} ${memory}`,
    );
    expect(lines.filter((line) => /_cpu_seconds_total\{.*\} [\d.e-]+$/.test(line))).toHaveLength(5);
    room.host.destroy(2);
    expect(await states()).toHaveLength(4);
  });

  it('are sent to the last line with many domains, also two of one UUID', async () => {
    room = await openRoom({ vms: 1000, domainMetrics: true, metrics: '127.0.0.1:0' });
    room.host.createDomain({ uuid: uuidOf(1), domid: 2000 });
    const lines = ofDomains(await scrape(room));
    expect(lines).toHaveLength(3 * 1002);
    expect(new Set(lines.map((line) => line.replace(/ \S+$/, ''))).size).toBe(3 * 1002);
    const overTcp = await fetch(`http://${room.daemon.metricsAddress}/metrics`);
    expect(ofDomains(await overTcp.text())).toHaveLength(3 * 1002);
  });

  it('are left out while the hypervisor does not answer, and the others are there', async () => {
    room = await openRoom({ domainMetrics: true });
    room.hypervisor.failNext('sysctl', 'EPERM');
    const metrics = await scrape(room);
    expect(ofDomains(metrics)).toEqual([]);
    expect(metrics).toMatch(/^xen_domid_lists_failed_total 1$/m);
  });
});

const promtool = cannot(spawnSync('promtool', ['--version']).error && 'there is no promtool');

promtool('are nothing that promtool complains about, those of domains included', async () => {
  const room = await openRoom({ domainMetrics: true });
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
