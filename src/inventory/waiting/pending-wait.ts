/** One wait: keeps what looks have shown of its VM, and ends once. */
import type { ShutdownReason } from '../../domain.ts';
import type { LookupResult } from '../../results.ts';
import type { Uuid } from '../../uuid.ts';
import { isInState, type WaitResult, type WaitState } from '../../waiting.ts';
import { TIMEOUT } from '../unavailable.ts';
import type { Waiter } from '../waiters.ts';

export interface PendingWaitOptions {
  readonly uuid: Uuid;
  readonly state: WaitState;
  /** Lists that had begun before the wait: they do not prove that the VM is gone. */
  readonly listsBefore: number;
  /** Called when a result has not ended the wait. */
  readonly onStill: (wait: PendingWait) => void;
}

export class PendingWait implements Waiter {
  readonly uuid: Uuid;
  readonly state: WaitState;
  readonly listsBefore: number;
  readonly result: Promise<WaitResult>;
  /** Why the VM's domain has shut down; undefined if it has not. */
  shutdownReason: ShutdownReason | undefined;
  readonly #onStill: (wait: PendingWait) => void;
  #resolve!: (result: WaitResult) => void;
  #reject!: (reason: unknown) => void;
  /** The result at the end of the time, if no domain has the UUID then. */
  #withoutHolder: LookupResult = TIMEOUT;
  #onEnd: (() => void) | undefined;
  #ending: AbortController | undefined;
  #over = false;

  constructor({ uuid, state, listsBefore, onStill }: PendingWaitOptions) {
    this.uuid = uuid;
    this.state = state;
    this.listsBefore = listsBefore;
    this.#onStill = onStill;
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  get over(): boolean {
    return this.#over;
  }

  /** Aborted at the end: for look-ups that the wait makes. Made only when it is needed, because most waits make none. */
  get ending(): AbortSignal {
    this.#ending ??= new AbortController();
    return this.#ending.signal;
  }

  /** Called once, before the result is settled. Set it only while the wait is not over. */
  set onEnd(callback: () => void) {
    this.#onEnd = callback;
  }

  /** Takes a result that obeys the contract of a look-up that began with the wait. */
  answer(result: LookupResult): void {
    if (this.#over) return;
    this.#note(result);
    if (isInState(this.state, result)) this.#end(result, true);
    else this.#onStill(this);
  }

  /** The time is up. @param now the result of looks made now; undefined if they show no holder. */
  timeIsUp(now: LookupResult | undefined): void {
    if (now !== undefined) this.answer(now);
    this.#end(now ?? this.#withoutHolder, false);
  }

  /** Ends the wait, although the VM is not in the state. */
  giveUp(result: LookupResult): void {
    this.#end(result, false);
  }

  abort(reason: unknown): void {
    if (this.#finish()) this.#reject(reason);
  }

  #note(result: LookupResult): void {
    if (result.status === 'found') this.shutdownReason = result.domain.shutdownReason;
    const { status } = this.#withoutHolder;
    if (result.status === 'notFound' || (result.status === 'unavailable' && status !== 'notFound'))
      this.#withoutHolder = result;
  }

  #end(result: LookupResult, reached: boolean): void {
    if (!this.#finish()) return;
    const { shutdownReason } = this;
    this.#resolve(
      result.status === 'notFound' && shutdownReason !== undefined
        ? { ...result, shutdownReason, reached }
        : { ...result, reached },
    );
  }

  #finish(): boolean {
    if (this.#over) return false;
    this.#over = true;
    // With a reason, because without one Node creates an error with a stack.
    this.#ending?.abort(true);
    this.#onEnd?.();
    return true;
  }
}
