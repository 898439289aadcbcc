/** What the tests of the service share: a daemon on a simulated host, and a client that keeps what it is told. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Inventory } from '../../src/inventory/inventory.ts';
import { type Daemon, serve, type ServeOptions } from '../../src/service/daemon.ts';
import {
  SimulatedHost,
  SimulatedHypervisor,
  SimulatedXenstored,
} from '../../src/simulator/index.ts';
import { WatchableXenstore } from '../../src/xenstore/watches.ts';
import { uuidOf } from './vms.ts';

export interface Room {
  readonly host: SimulatedHost;
  readonly hypervisor: SimulatedHypervisor;
  readonly xenstored: SimulatedXenstored | undefined;
  readonly inventory: Inventory;
  readonly daemon: Daemon;
  readonly path: string;
  readonly log: string[];
  close(): Promise<void>;
}

export interface RoomOptions extends Partial<ServeOptions> {
  /** VMs with `uuidOf(1)` to this. Default 3. */
  readonly vms?: number;
  readonly xenstore?: boolean;
}

export function temporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'xen-domid-'));
}

export async function openRoom(options: RoomOptions = {}): Promise<Room> {
  const directory = temporaryDirectory();
  const host = new SimulatedHost();
  const hypervisor = new SimulatedHypervisor(host);
  const xenstored = options.xenstore === true ? await SimulatedXenstored.start(host) : undefined;
  for (let vm = 1; vm <= (options.vms ?? 3); vm++) host.createDomain({ uuid: uuidOf(vm) });
  const inventory = await Inventory.open({
    hypervisor,
    xenstore:
      xenstored === undefined
        ? false
        : () => WatchableXenstore.open({ socketPath: xenstored.socketPath }),
  });
  const path = join(directory, 'd', 'socket');
  const log: string[] = [];
  const daemon = await serveOrClose(inventory, {
    inventory,
    socketPath: path,
    environment: {},
    log: (level, message) => log.push(`${level}: ${message}`),
    ...options,
  });
  const close = async (): Promise<void> => {
    await daemon.close();
    await inventory.close();
    await xenstored?.close();
    rmSync(directory, { recursive: true });
  };
  return { host, hypervisor, xenstored, inventory, daemon, path, log, close };
}

async function serveOrClose(inventory: Inventory, options: ServeOptions): Promise<Daemon> {
  try {
    return await serve(options);
  } catch (error) {
    await inventory.close();
    throw error;
  }
}

// oxlint-disable-next-line typescript/no-explicit-any -- whatever the service says
export type Message = any;

export class Client {
  readonly socket: Socket;
  /** What has come and was not waited for. */
  readonly messages: Message[] = [];
  #text = '';
  #wake: () => void = () => undefined;
  #lastId = 0;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => undefined);
    socket.setEncoding('utf8').on('data', (text: string) => {
      const lines = (this.#text + text).split('\n');
      this.#text = lines.pop() ?? '';
      for (const line of lines) this.messages.push(JSON.parse(line));
      this.#wake();
    });
    for (const end of ['end', 'close']) socket.on(end, () => this.#wake());
  }

  static async connect(path: string): Promise<Client> {
    const socket = createConnection({ path, allowHalfOpen: true });
    await once(socket, 'connect');
    return new Client(socket);
  }

  send(text: string | Uint8Array): void {
    this.socket.write(text);
  }

  /** The next message that `wanted` is true of. Fails when the connection ends without one. */
  async next(wanted: (message: Message) => boolean = () => true): Promise<Message> {
    for (;;) {
      const at = this.messages.findIndex(wanted);
      if (at !== -1) return this.messages.splice(at, 1)[0];
      if (this.socket.closed || this.socket.readableEnded)
        throw new Error(`ended, with ${JSON.stringify(this.messages)} left`);
      // oxlint-disable-next-line no-await-in-loop -- until it has come
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** The reply to a request. */
  async call(method: string, params?: object): Promise<Message> {
    const id = `call-${++this.#lastId}`;
    this.send(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`);
    return await this.next((message) => message.id === id);
  }

  /** All that comes until the service ends the connection. */
  async untilEnd(): Promise<Message[]> {
    if (!this.socket.readableEnded && !this.socket.closed)
      await Promise.race([once(this.socket, 'end'), once(this.socket, 'close')]);
    this.socket.destroy();
    return this.messages;
  }

  close(): void {
    this.socket.destroy();
  }
}

export const request = (id: unknown, method: string, params?: object): string =>
  `${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`;

/** Looks up without end beside what else goes on. */
export class Bystander {
  readonly #client: Client;
  #over = false;
  readonly #looking: Promise<void>;
  /** Milliseconds that each answer took. */
  readonly took: number[] = [];

  private constructor(client: Client) {
    this.#client = client;
    this.#looking = this.#look();
  }

  static async beside(path: string): Promise<Bystander> {
    return new Bystander(await Client.connect(path));
  }

  async #look(): Promise<void> {
    while (!this.#over) {
      const began = performance.now();
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const { result } = await this.#client.call('domid', { uuid: uuidOf(1) });
      if (result?.domid !== 1) throw new Error(`a wrong answer: ${JSON.stringify(result)}`);
      this.took.push(performance.now() - began);
    }
  }

  /** @returns how many answers it had, and how long all but the slowest hundredth took at most. */
  async end(): Promise<{ answers: number; p99: number }> {
    this.#over = true;
    await this.#looking;
    this.#client.close();
    const sorted = this.took.toSorted((one, other) => one - other);
    return { answers: sorted.length, p99: sorted[Math.floor(0.99 * (sorted.length - 1))] ?? NaN };
  }
}
