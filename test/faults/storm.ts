/** Creates, renames, reboots and destroys domains without end. */
import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { parseUuid, type Uuid } from '../../src/uuid.ts';
import type { FaultHost } from './fault-host.ts';
import { type Holding, Holdings } from '../oracle/holdings.ts';

/** Least and most domains at a time. */
const FEW = 20;
const MANY = 60;
/** VMs that are known before they are created. */
const PLANNED = 10;

export const newUuid = (): Uuid => parseUuid(randomUUID());

const chance = (share: number): boolean => Math.random() < share;

export class Storm {
  readonly holdings: Holdings = new Holdings();
  /** The UUIDs of the next VMs. */
  readonly coming: Uuid[] = Array.from({ length: PLANNED }, newUuid);
  readonly #host: FaultHost;
  #over = false;
  #raging: Promise<void> = Promise.resolve();
  #failed: unknown;
  /** Domains created, renamed and destroyed. */
  steps = 0;

  constructor(host: FaultHost) {
    this.#host = host;
  }

  begin(): void {
    this.#over = false;
    this.#raging = this.#rage().catch((error: unknown) => {
      this.#failed = error;
    });
  }

  /** Throws the storm's own failure, so that a dead storm does not look like a quiet one. */
  check(): void {
    if (this.#failed !== undefined) throw this.#failed;
  }

  async end(): Promise<void> {
    this.#over = true;
    await this.#raging;
    this.check();
  }

  /** Creates domains that existed before the storm. */
  async makeResidents(count: number): Promise<void> {
    for (let made = 0; made < count; made++) {
      // oxlint-disable-next-line no-await-in-loop -- a host makes one domain after the other
      await this.#create(this.#next());
    }
  }

  /** Takes the first of the UUIDs that are coming. */
  #next(): Uuid {
    this.coming.push(newUuid());
    return this.coming.shift() as Uuid;
  }

  async #rage(): Promise<void> {
    while (!this.#over) {
      // oxlint-disable-next-line no-await-in-loop
      await this.#step();
      this.steps++;
      // oxlint-disable-next-line no-await-in-loop
      await nextTurn();
    }
  }

  async #step(): Promise<void> {
    const { living } = this.holdings;
    const some = living[Math.floor(Math.random() * living.length)];
    if (living.length < FEW || some === undefined || this.#host.isBeingIntroduced(some.domid)) {
      await this.#create(this.#next());
      return;
    }
    if (living.length < MANY && chance(0.45)) await this.#create(this.#next());
    else if (chance(0.2)) await this.#rename(some);
    else await this.#destroy(some);
  }

  async #create(uuid: Uuid): Promise<void> {
    const { domid } = await this.holdings.begin(uuid, () => this.#host.create(uuid));
    if (chance(0.5)) this.#host.introduce(domid);
  }

  async #rename({ domid }: Holding): Promise<void> {
    const uuid = newUuid();
    await this.holdings.begin(uuid, async () => {
      await this.#host.rename(domid, uuid);
      return domid;
    });
  }

  /** Every third domain reboots: another domain then has its UUID. */
  async #destroy({ domid, uuid }: Holding): Promise<void> {
    await this.holdings.end(domid, () => this.#host.destroy(domid));
    if (chance(0.3)) await this.#create(uuid);
  }
}
