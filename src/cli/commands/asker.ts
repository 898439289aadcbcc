/** Sends look-ups to the service, and prints the answers in the order of the questions, each as soon as it can be. */
import type { InventoryClient } from '../../client/client.ts';
import type { DomidResult, LookupResult } from '../../results.ts';
import type { Uuid } from '../../uuid.ts';
import type { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { type AnswerFormat, Answers } from './answers.ts';

/** Pending look-ups at a time: half of the `PENDING_MAX` that the service reads before it has answered some. */
const PENDING_LOOKUPS_MAX = 512;

export class Asker {
  /** Rejects as soon as an answer shows that there is no service. */
  readonly failure: Promise<never>;
  readonly #client: InventoryClient;
  readonly #json: boolean;
  readonly #answers: Answers;
  #fail: (error: unknown) => void = () => undefined;
  #pending = 0;
  #printed: Promise<void> = Promise.resolve();

  constructor(io: Io, client: InventoryClient, format: AnswerFormat) {
    this.#client = client;
    this.#json = format.json;
    this.#answers = new Answers(io, format);
    this.failure = new Promise((_, reject) => (this.#fail = reject));
    // done() rejects too: a caller need not handle both.
    this.failure.catch(() => undefined);
  }

  /** Whether the caller must wait for `done()` before it asks more. */
  get busy(): boolean {
    return this.#pending >= PENDING_LOOKUPS_MAX;
  }

  ask(uuid: Uuid): void {
    const answer = this.#json ? this.#client.lookup(uuid) : this.#client.domid(uuid);
    this.#pending++;
    this.#printed = Promise.all([answer, this.#printed]).then(([result]) => {
      this.#pending--;
      throwWithoutService(result);
      this.#answers.print(uuid, result);
    });
    this.#printed.catch(this.#fail);
  }

  /** Raises the exit status, unless it is higher already. */
  raise(status: ExitStatus): void {
    this.#answers.raise(status);
  }

  /** Resolves once all answers are printed. @throws XenError where there is no service. */
  async done(): Promise<ExitStatus> {
    await this.#printed;
    return this.#answers.status;
  }
}

/** Without a service every further look-up fails the same way; without the hypervisor's answer the next may succeed. */
function throwWithoutService(result: LookupResult | DomidResult): void {
  if (result.status !== 'unavailable') return;
  const { cause, error } = result;
  if (error !== undefined && cause.startsWith('ERR_SERVICE_')) throw error;
}
