/** The real service under test, and its restarts. */
import { join } from 'node:path';
import { Inventory } from '../../src/inventory/inventory.ts';
import { type Daemon, serve } from '../../src/service/daemon.ts';
import type { SimulatedHypervisor, SimulatedXenstored } from '../../src/simulator/index.ts';
import { WatchableXenstore } from '../../src/xenstore/watches.ts';
import { FeedRecord } from '../oracle/feed-record.ts';

/** Interval of the slow timer: never, so that it cannot hide a missed event. */
const NEVER_MS = 24 * 3_600_000;

/** More changes than a subscriber can miss and still receive one by one. */
const KEPT_CHANGES = 2000;

export interface ServiceOptions {
  readonly hypervisor: SimulatedHypervisor;
  readonly xenstored: SimulatedXenstored;
  /** Directory for the socket. */
  readonly directory: string;
  readonly onViolation: (error: unknown) => void;
}

export class Service {
  readonly path: string;
  readonly #options: ServiceOptions;
  #daemon: Daemon | undefined;
  #record: FeedRecord | undefined;
  /** Ends and starts of the service: odd while it does not run. */
  turns = 0;

  constructor(options: ServiceOptions) {
    this.#options = options;
    this.path = join(options.directory, 'run', 'socket');
  }

  get inventory(): Inventory {
    if (this.#daemon === undefined) throw new Error('the service does not run');
    return this.#daemon.inventory;
  }

  get record(): FeedRecord {
    if (this.#record === undefined) throw new Error('the service does not run');
    return this.#record;
  }

  async begin(): Promise<void> {
    const { hypervisor, xenstored, onViolation } = this.#options;
    const inventory = await Inventory.open({
      hypervisor,
      xenstore: () => WatchableXenstore.open({ socketPath: xenstored.socketPath }),
      listIntervalMs: NEVER_MS,
    });
    this.#record = await FeedRecord.of(inventory, { kept: KEPT_CHANGES, onViolation });
    this.#daemon = await serve({
      inventory: () => Promise.resolve(inventory),
      socketPath: this.path,
      environment: {},
      simulated: true,
      log: (level, message) => {
        if (level === 'error') onViolation(new Error(`the service says: ${message}`));
      },
    });
    if (this.turns % 2 === 1) this.turns++;
  }

  async end(): Promise<void> {
    this.turns++;
    await this.#daemon?.close();
    this.#daemon = undefined;
  }
}
