/** Real NATS servers on free ports of the loopback, each with a directory of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../support/until.ts';
import { freePort } from '../support/free-port.ts';

export interface NatsServersOptions {
  /** Lines for the configuration of each server, such as its accounts. */
  readonly config?: string;
}

async function listens(port: number): Promise<boolean> {
  const socket = createConnection({ port, host: '127.0.0.1' });
  const [event] = await Promise.race([
    once(socket, 'connect').then(() => ['connect']),
    once(socket, 'error').then(() => ['error']),
  ]).catch(() => ['error']);
  socket.destroy();
  return event === 'connect';
}

/** One server of a cluster. */
export class NatsServer {
  readonly port: number;
  readonly monitor: number;
  readonly #directory: string;
  readonly #config: string;
  #process: ChildProcess | undefined;

  constructor(directory: string, port: number, monitor: number, config: string) {
    this.#directory = directory;
    this.port = port;
    this.monitor = monitor;
    this.#config = join(directory, `${port}.conf`);
    writeFileSync(this.#config, config);
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  get isRunning(): boolean {
    return this.#process !== undefined;
  }

  async start(): Promise<void> {
    const log = join(this.#directory, `${this.port}.log`);
    this.#process = spawn('nats-server', ['-c', this.#config, '-l', log], { stdio: 'ignore' });
    await until(() => listens(this.port), { what: `nats-server on port ${this.port}` });
  }

  /** @param signal SIGKILL is a crash, SIGSTOP a server that hangs. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    child.kill(signal);
    if (signal === 'SIGSTOP' || signal === 'SIGCONT') return;
    this.#process = undefined;
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }

  /** Reads a page of its monitoring, such as `/jsz`. */
  async read(path: string): Promise<Record<string, unknown>> {
    const response = await fetch(`http://127.0.0.1:${this.monitor}${path}`);
    return (await response.json()) as Record<string, unknown>;
  }

  get log(): string {
    return readFileSync(join(this.#directory, `${this.port}.log`), 'utf8');
  }
}

/** A cluster of servers with JetStream. */
export class NatsServers {
  readonly servers: readonly NatsServer[];
  readonly #directory: string;

  private constructor(servers: readonly NatsServer[], directory: string) {
    this.servers = servers;
    this.#directory = directory;
  }

  static async start(count: number, options: NatsServersOptions = {}): Promise<NatsServers> {
    const directory = mkdtempSync(join(tmpdir(), 'xen-domid-nats-'));
    const ports: [number, number, number][] = [];
    for (let server = 0; server < count; server++)
      ports.push([await freePort(), await freePort(), await freePort()]);
    const routes = ports.map(([, route]) => `nats://127.0.0.1:${route}`).join(', ');
    const servers = ports.map(([port, route, monitor], index) => {
      const cluster =
        count === 1
          ? ''
          : `cluster { name: test, listen: "127.0.0.1:${route}", routes: [${routes}] }\n`;
      const config = `server_name: s${index}
listen: "127.0.0.1:${port}"
http: "127.0.0.1:${monitor}"
jetstream { store_dir: "${join(directory, `store-${index}`)}" }
${cluster}${options.config ?? ''}
`;
      return new NatsServer(directory, port, monitor, config);
    });
    const cluster = new NatsServers(servers, directory);
    await Promise.all(servers.map((server) => server.start()));
    if (count > 1) await cluster.untilLed();
    return cluster;
  }

  get urls(): string[] {
    return this.servers.map(({ url }) => url);
  }

  /** Waits until the servers have a leader for JetStream. */
  async untilLed(): Promise<void> {
    await until(async () => (await this.#leaderName()) !== undefined, { what: 'a leader' });
  }

  /** The server that leads a stream. */
  async leaderOf(stream: string): Promise<NatsServer> {
    return until(async () => {
      for (const server of this.servers.filter(({ isRunning }) => isRunning)) {
        const info = await server.read('/jsz?streams=true').catch(() => undefined);
        const accounts = (info?.['account_details'] ?? []) as {
          stream_detail?: { name: string; cluster?: { leader?: string } }[];
        }[];
        const found = accounts
          .flatMap(({ stream_detail: streams = [] }) => streams)
          .find(({ name }) => name === stream)?.cluster?.leader;
        if (found !== undefined) return this.servers[Number(found.slice(1))];
      }
      return undefined;
    });
  }

  async close(): Promise<void> {
    await Promise.all(
      this.servers.map(async (server) => {
        await server.kill('SIGCONT');
        await server.kill();
      }),
    );
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #leaderName(): Promise<string | undefined> {
    for (const server of this.servers.filter(({ isRunning }) => isRunning)) {
      const info = await server.read('/jsz').catch(() => undefined);
      const leader = (info?.['meta_cluster'] as { leader?: string } | undefined)?.leader;
      if (leader !== undefined && leader !== '') return leader;
    }
    return undefined;
  }
}
