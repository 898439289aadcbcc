/** A look-up that no single look has answered yet: it waits for one that does, or for a list. */
import type { LookupResult } from '../results.ts';
import type { Uuid } from '../uuid.ts';
import type { XenError } from '../xen-error.ts';
import type { Lists, ListWaiter, TakenList } from './lists.ts';
import { unavailable } from './unavailable.ts';
import type { Waiter } from './waiters.ts';

const NOT_FOUND = { status: 'notFound' } as const;

export class PendingLookup implements Waiter, ListWaiter {
  readonly result: Promise<LookupResult>;
  readonly #uuid: Uuid;
  readonly #lists: Lists;
  #resolve!: (result: LookupResult) => void;
  #reject!: (reason: unknown) => void;
  #leaveList: () => void;
  #over = false;

  constructor(uuid: Uuid, lists: Lists) {
    this.#uuid = uuid;
    this.#lists = lists;
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#leaveList = lists.wait('miss', this);
  }

  answer(result: LookupResult): void {
    if (!this.#end()) return;
    this.#resolve(result);
  }

  abort(reason: unknown): void {
    if (this.#end()) this.#reject(reason);
  }

  /** A list that began after the call has been taken in, and look-ups of holders that it showed have been answered. */
  done({ shown }: TakenList): void {
    if (this.#over) return;
    // A holder that the list showed was gone before a look confirmed it: the list does not prove that there is none.
    if (shown.has(this.#uuid)) this.#leaveList = this.#lists.wait('miss', this);
    else this.answer(NOT_FOUND);
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
