/** Clients that wait for VMs to come and to go, and check how each wait ends. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { InventoryClient, type WaitResult } from '../../src/client/client.ts';
import type { Uuid } from '../../src/uuid.ts';
import { shows } from '../oracle/waits.ts';
import type { Storm } from './storm.ts';

/** Waits at a time, half of them for a VM to come. */
const AT_ONCE = 8;
/** Long enough to last over most faults. */
const TIMEOUT_MS = 4000;
/** A timer may fire early by this, ms. */
const EARLY_MS = 10;

export class Waiters {
  /** The reason for each wrong answer. */
  readonly wrong: string[] = [];
  /** Waits that ended because the VM had come or gone. */
  reached = 0;
  readonly #storm: Storm;
  readonly #client: InventoryClient;
  readonly #ended = new AbortController();
  #waiting: Promise<unknown> = Promise.resolve();
  #failed: unknown;

  /** @param simulated whether the daemon's host is simulated. */
  constructor(storm: Storm, socket: string, simulated: boolean) {
    this.#storm = storm;
    this.#client = new InventoryClient({ socket, acceptSimulated: simulated });
  }

  begin(): void {
    const all = Array.from({ length: AT_ONCE }, (_, at) => this.#waitWithoutEnd(at));
    this.#waiting = Promise.all(all).catch((error: unknown) => {
      if (!this.#ended.signal.aborted) this.#failed = error;
    });
  }

  check(): void {
    if (this.#failed !== undefined) throw this.#failed;
  }

  /** Gives up the pending waits. */
  async end(): Promise<void> {
    this.#ended.abort();
    await this.#waiting;
    await this.#client.close();
    this.check();
  }

  async #waitWithoutEnd(at: number): Promise<void> {
    const { holdings, coming } = this.#storm;
    while (!this.#ended.signal.aborted) {
      const state = at % 2 === 0 ? 'present' : 'gone';
      const uuid = state === 'gone' ? holdings.living.at(-1 - at)?.uuid : coming[at];
      // oxlint-disable no-await-in-loop -- one wait after the other
      if (uuid !== undefined) await this.#wait(uuid, state);
      await nextTurn();
      // oxlint-enable no-await-in-loop
    }
  }

  async #wait(uuid: Uuid, state: 'present' | 'gone'): Promise<void> {
    const { signal } = this.#ended;
    const { holdings } = this.#storm;
    const asked = performance.now();
    const result = await this.#client.waitFor(uuid, { state, timeoutMs: TIMEOUT_MS, signal });
    const answered = performance.now();
    await holdings.recorded(uuid);
    const wrong =
      holdings.judge(uuid, result, { asked, answered }) ??
      unlikeItsState(state, result, answered - asked);
    if (wrong !== undefined) this.wrong.push(`wait for ${uuid} to be ${state}: ${wrong}`);
    else if (result.reached) this.reached++;
  }
}

function unlikeItsState(
  state: 'present' | 'gone',
  result: WaitResult,
  waitedMs: number,
): string | undefined {
  const { status, reached } = result;
  if (reached !== shows(state, result)) return `${status}, reached ${reached}`;
  if (reached || status === 'unavailable' || waitedMs > TIMEOUT_MS - EARLY_MS) return undefined;
  return `${status} after ${waitedMs} ms, before the time was up`;
}
