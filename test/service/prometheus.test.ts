/** A real Prometheus scrapes the metrics. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import { cannot } from '../lab/cannot.ts';
import { type Message, openRoom } from '../support/daemon-room.ts';
import { until } from '../support/until.ts';
import { freePort } from '../support/free-port.ts';

const isMissing = spawnSync('prometheus', ['--version']).error !== undefined;
// A developer's machine need not have it; CI must.
const prometheus = cannot(process.env['CI'] === undefined && isMissing && 'there is no prometheus');

class Prometheus {
  readonly #child: ChildProcess;
  readonly #url: string;
  readonly #directory: string;
  log = '';

  private constructor(directory: string, port: number) {
    this.#directory = directory;
    this.#url = `http://127.0.0.1:${port}/api/v1`;
    this.#child = spawn(
      'prometheus',
      [
        `--config.file=${join(directory, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(directory, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.log += text));
  }

  /** @param targets `HOST:PORT` to scrape. */
  static async of(targets: readonly string[]): Promise<Prometheus> {
    const directory = mkdtempSync(join(tmpdir(), 'prometheus-'));
    const job = { job_name: 'xen-domid', static_configs: [{ targets }] };
    // JSON is YAML.
    const config = {
      global: { scrape_interval: '1s', scrape_timeout: '1s' },
      scrape_configs: [job],
    };
    writeFileSync(join(directory, 'prometheus.yml'), JSON.stringify(config));
    return new Prometheus(directory, await freePort());
  }

  /** Returns the values of a query's result by instance; none before it listens. */
  async query(query: string): Promise<Record<string, number>> {
    const url = `${this.#url}/query?query=${encodeURIComponent(query)}`;
    const answer = await fetch(url).catch(() => undefined);
    if (answer === undefined || !answer.ok) return {};
    const { data } = (await answer.json()) as Message;
    return Object.fromEntries(
      data.result.map(({ metric, value }: Message) => [metric.instance, Number(value[1])]),
    );
  }

  async end(): Promise<void> {
    this.#child.kill();
    if (this.#child.exitCode === null) await once(this.#child, 'close');
    rmSync(this.#directory, { recursive: true });
  }
}

prometheus(
  'Prometheus scrapes the metrics, by name and by address, and takes all of them',
  async () => {
    const room = await openRoom({ metrics: '0.0.0.0:0', vms: 7 });
    const port = room.daemon.metricsAddress?.split(':')[1];
    const outside = Object.values(networkInterfaces())
      .flat()
      .find((one) => one?.family === 'IPv4' && !one.internal)?.address;
    const hosts = ['localhost', '127.0.0.1', ...(outside === undefined ? [] : [outside])];
    const targets = hosts.map((host) => `${host}:${port}`);
    const all = (value: number): Record<string, number> =>
      Object.fromEntries(targets.map((target) => [target, value]));
    const server = await Prometheus.of(targets);
    try {
      await until(async () => {
        const scrapes = await server.query('count_over_time(up[1m])');
        return targets.every((target) => (scrapes[target] ?? 0) >= 4);
      });
      expect(await server.query('avg_over_time(up[1m])')).toEqual(all(1));
      expect(await server.query('xen_domid_domains')).toEqual(all(8));
      const samples = await server.query('scrape_samples_scraped');
      for (const target of targets) expect(samples[target]).toBeGreaterThan(50);
      expect(
        await server.query('rate(xen_domid_requests_total{method="lookup",code="0"}[1m])'),
      ).toEqual(all(0));
      expect(server.log).not.toMatch(/level=(warn|error)/);
    } finally {
      await server.end();
      await room.close();
    }
  },
);
