/** The host that the documentation shows: its examples, and the clients in other languages, are run against it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Inventory } from '../../src/inventory/inventory.ts';
import { type Daemon, serve } from '../../src/service/daemon.ts';
import {
  bootVm,
  type CreateOptions,
  destroyVm,
  SimulatedHost,
  SimulatedHypervisor,
  SimulatedXenstored,
} from '../../src/simulator/index.ts';
import { parseUuid } from '../../src/uuid.ts';
import { WatchableXenstore } from '../../src/xenstore/watches.ts';
import { until } from './until.ts';

export const DB = '2b8f0d9c-53e1-4f0a-8a4e-7c1d9e6b0a11';
export const WEB = '6d4f1a5e-0b7c-4c4e-9d2a-3f1e5b7a9c01';
/** Not there at first. */
export const NEW = '6d4f1a5e-0b7c-4c4e-9d2a-3f1e5b7a9c02';

const POWEROFF = 0;
const GIB_PAGES = 2 ** 18;

export class ExampleService {
  readonly host: SimulatedHost;
  readonly hypervisor: SimulatedHypervisor;
  readonly socketPath: string;
  readonly #xenstored: SimulatedXenstored;
  readonly #directory: string;
  #daemon: Daemon | undefined;

  readonly #table: string | undefined;

  private constructor(
    host: SimulatedHost,
    xenstored: SimulatedXenstored,
    directory: string,
    table: string | undefined,
  ) {
    this.#table = table;
    this.host = host;
    this.hypervisor = new SimulatedHypervisor(host);
    this.#xenstored = xenstored;
    this.#directory = directory;
    this.socketPath = join(directory, 'xen-domid.sock');
  }

  /** @param options table: the path of one to keep. */
  static async start({ table }: { readonly table?: string } = {}): Promise<ExampleService> {
    const host = new SimulatedHost({ history: false });
    const xenstored = await SimulatedXenstored.start(host);
    xenstored.write('/local/domain/0/name', 'Domain-0');
    const example = new ExampleService(
      host,
      xenstored,
      await mkdtemp(join(tmpdir(), 'docs-')),
      table,
    );
    example.boot(3, DB, 'db-1', { vcpus: 4, memoryPages: 8 * GIB_PAGES });
    example.boot(7, WEB, 'web-1', { vcpus: 2, memoryPages: 2 * GIB_PAGES });
    await example.startService();
    return example;
  }

  async startService(): Promise<void> {
    this.#daemon = await serve({
      inventory: () => this.openInventory(),
      socketPath: this.socketPath,
      environment: {},
    });
  }

  async stopService(): Promise<void> {
    await this.#daemon?.close();
  }

  openInventory(): Promise<Inventory> {
    const xenstore = (): Promise<WatchableXenstore> =>
      WatchableXenstore.open({ socketPath: this.#xenstored.socketPath });
    return Inventory.open({
      hypervisor: this.hypervisor,
      xenstore,
      table: this.#table === undefined ? undefined : { path: this.#table },
    });
  }

  /** Has the service list the host, so that it has seen every change. */
  async list(): Promise<void> {
    await this.#daemon?.inventory.list();
  }

  /** Resolves once somebody waits for a VM. */
  async pendingWait(): Promise<void> {
    await until(() => this.#daemon !== undefined && this.#daemon.inventory.counters.waits > 0);
  }

  boot(domid: number, uuid: string, name: string, size: CreateOptions = {}): void {
    bootVm(this.host, this.#xenstored, { ...size, domid, uuid: parseUuid(uuid), name });
  }

  shutDown(domid: number, code: number = POWEROFF): void {
    this.host.shutdown(domid, code);
  }

  destroy(domid: number): void {
    destroyVm(this.host, this.#xenstored, domid);
  }

  async stopXenstored(): Promise<void> {
    await this.#xenstored.stop();
  }

  async startXenstored(): Promise<void> {
    await this.#xenstored.startAgain();
  }

  async close(): Promise<void> {
    await this.stopService();
    await this.hypervisor.close();
    await this.#xenstored.close();
    await rm(this.#directory, { recursive: true, force: true });
  }
}
