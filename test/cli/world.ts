/** A service on a simulated host, and a command line that asks it. The output is kept. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { Io } from '../../src/cli/io.ts';
import { main } from '../../src/cli/main.ts';
import { Inventory } from '../../src/inventory/inventory.ts';
import { InventoryClient } from '../../src/client/client.ts';
import { type Daemon, serve } from '../../src/service/daemon.ts';
import { SimulatedHost, SimulatedHypervisor } from '../../src/simulator/index.ts';
import { parseUuid } from '../../src/uuid.ts';

export const A = '6d4f1a5e-0b7c-4c4e-9d2a-00000000000a';
export const B = '6d4f1a5e-0b7c-4c4e-9d2a-00000000000b';
export const LONELY = 'a0000000-0b7c-4c4e-9d2a-000000000001';
export const TWICE = 'cccccccc-0b7c-4c4e-9d2a-0000000000cc';
export const UNKNOWN = '6d4f1a5e-0b7c-4c4e-9d2a-0000000000ff';

export class World {
  readonly host: SimulatedHost = new SimulatedHost({ history: false });
  readonly socket: string;
  readonly output: { out: string; err: string } = { out: '', err: '' };
  /** Chunks of standard input. */
  input: string[] = [];
  /** Standard output is a terminal, and so is standard input unless it is redirected. */
  terminal = false;
  inputRedirected = false;
  columns: number | undefined;
  rows: number | undefined;
  /** Tells the command that the terminal has another size. */
  resized: () => void = () => undefined;
  environment: NodeJS.ProcessEnv = {};
  interrupt: AbortController = new AbortController();
  readonly #directory: string;
  readonly #hypervisor: SimulatedHypervisor;
  #daemon: Daemon | undefined;

  private constructor(directory: string) {
    this.#directory = directory;
    this.socket = join(directory, 'socket');
    this.#hypervisor = new SimulatedHypervisor(this.host);
    for (const [uuid, domid] of [
      [A, 1],
      [B, 2],
      [LONELY, 3],
      [TWICE, 5],
      [TWICE, 9],
    ] as const) {
      this.host.createDomain({ uuid: parseUuid(uuid), domid });
      this.host.unpause(domid);
    }
  }

  static async make(): Promise<World> {
    const world = new World(await mkdtemp(join(tmpdir(), 'cli-')));
    await world.startService();
    return world;
  }

  async startService(): Promise<void> {
    const hypervisor = this.#hypervisor;
    this.#daemon = await serve({
      inventory: () => Inventory.open({ hypervisor, xenstore: false, listIntervalMs: 20 }),
      socketPath: this.socket,
      environment: {},
    });
  }

  async stopService(): Promise<void> {
    await this.#daemon?.close();
  }

  async close(): Promise<void> {
    await this.stopService();
    await this.#hypervisor.close();
    await rm(this.#directory, { recursive: true, force: true });
  }

  run(...argv: string[]): Promise<number> {
    return this.runAt(this.socket, ...argv);
  }

  /** Runs the command line in this process, with the service at `socket`. */
  runAt(socket: string, ...argv: string[]): Promise<number> {
    this.output.out = '';
    this.output.err = '';
    const io: Io = {
      out: (text) => (this.output.out += text),
      err: (text) => (this.output.err += text),
      openHypervisor: () => Promise.reject(new Error('the service is to be asked')),
      openXenstore: () => Promise.reject(new Error('the service is to be asked')),
      connect: async (options) => new InventoryClient(options),
      input: () => Readable.from(this.input),
      inputIsTerminal: () => this.terminal && !this.inputRedirected,
      outputIsTerminal: () => this.terminal,
      columns: () => this.columns,
      rows: () => this.rows,
      onResize: (listener) => (this.resized = listener),
      environment: this.environment,
      interrupted: () => this.interrupt.signal,
      endSoon: () => undefined,
    };
    return main([...argv, '--socket', socket], io);
  }
}
