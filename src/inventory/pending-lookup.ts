/** A look-up that no single look has answered yet: it waits for one that does, or for a list. */
import type { LookupResult } from '../results.ts';
import type { Uuid } from '../uuid.ts';
import type { XenError } from '../xen-error.ts';
import type { Holders } from './holders.ts';
import type { Lists, ListWaiter } from './lists.ts';
import { unavailable } from './unavailable.ts';
import type { Waiter } from './waiters.ts';

const NOT_FOUND = { status: 'notFound' } as const;

export interface PendingLookupOptions {
  readonly uuid: Uuid;
  readonly lists: Lists;
  readonly holders: Holders;
  /** Reads the holders, and answers the pending look-ups of the UUID if there are any. */
  readonly confirm: () => void;
}

export class PendingLookup implements Waiter, ListWaiter {
  readonly result: Promise<LookupResult>;
  readonly #options: PendingLookupOptions;
  #resolve!: (result: LookupResult) => void;
  #reject!: (reason: unknown) => void;
  #leaveList: () => void;
  #over = false;

  constructor(options: PendingLookupOptions) {
    this.#options = options;
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#leaveList = options.lists.wait(this);
  }

  answer(result: LookupResult): void {
    if (!this.#end()) return;
    this.#resolve(result);
  }

  abort(reason: unknown): void {
    if (this.#end()) this.#reject(reason);
  }

  /** A list that began after the call has been taken in, and look-ups of holders that it showed have been answered. */
  done(shown: ReadonlySet<Uuid>): void {
    if (this.#over) return;
    const { uuid, lists, holders, confirm } = this.#options;
    // A look of a subscriber, in the middle of this look-up, may have found a holder that nobody waited for yet.
    const isHeld = holders.of(uuid).length > 0;
    if (isHeld) confirm();
    if (this.#isOver()) return;
    // The list showed a holder that was gone before a look confirmed it: it does not prove that there is none.
    if (isHeld || shown.has(uuid)) this.#leaveList = lists.wait(this);
    else this.answer(NOT_FOUND);
  }

  /** `confirm` may have answered it. */
  #isOver(): boolean {
    return this.#over;
  }

  failed(error: XenError): void {
    this.answer(unavailable(error));
  }

  #end(): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#leaveList();
    return true;
  }
}
