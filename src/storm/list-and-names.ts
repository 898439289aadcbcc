/** Look-ups like those of `xl list -v | grep UUID`: a list, then the name of each domain in it. */
import type { SimulatedHost, SimulatedXenstored } from '../simulator/index.ts';
import type { Uuid } from '../uuid.ts';
import type { Contestant, Cost } from './contestant.ts';
import { BY_1024, PagedLists } from './paged-lists.ts';

export class ListAndNames implements Contestant {
  readonly #lists: PagedLists;
  readonly #xenstored: SimulatedXenstored;
  #requests = 0;

  constructor(host: SimulatedHost, xenstored: SimulatedXenstored) {
    this.#lists = new PagedLists(host, BY_1024);
    this.#xenstored = xenstored;
  }

  get beforeCall(): (() => void) | undefined {
    return this.#lists.beforeCall;
  }

  set beforeCall(listener: (() => void) | undefined) {
    this.#lists.beforeCall = listener;
  }

  get cost(): Cost {
    return { ...this.#lists.cost, xenstoreRequests: this.#requests };
  }

  /** The answer is in the list. The names are read because `xl` prints them. */
  lookUp(uuid: Uuid): number | undefined {
    const domid = this.#lists.lookUp(uuid);
    this.#readNames();
    return domid;
  }

  heedEvent(): void {
    this.#lists.list();
    this.#readNames();
  }

  #readNames(): void {
    for (let index = 0; index < this.#lists.length; index++) {
      this.beforeCall?.();
      this.#requests++;
      this.#xenstored.read(`/local/domain/${this.#lists.domidAt(index)}/name`);
    }
  }
}
