/** Counts the cost of some of the look-ups and events of a storm, and extrapolates to all of them. */
import type { SimulatedHost } from '../simulator/index.ts';
import type { Uuid } from '../uuid.ts';
import { addCost, type Contestant, type Cost, NO_COST } from './contestant.ts';
import type { Phase } from './work.ts';

export class Measurement {
  readonly #host: SimulatedHost;
  readonly #contestant: Contestant;
  readonly #vms = new Set<number>();
  #cost = NO_COST;
  #answers = 0;
  #wrong = 0;

  constructor(host: SimulatedHost, contestant: Contestant) {
    this.#host = host;
    this.#contestant = contestant;
  }

  /**
   * Makes one look-up, and counts its cost `times` times: nothing changes in between, and there is no cache.
   * @param isThere whether a VM has this UUID.
   */
  lookUp(vm: number, uuid: Uuid, times: number, isThere = true): void {
    const domid = this.#counted(vm, times, () => this.#contestant.lookUp(uuid));
    const named = domid === undefined ? undefined : this.#host.get(domid)?.uuid;
    this.#answers++;
    if (named !== (isThere ? uuid : undefined)) this.#wrong++;
  }

  heedEvent(vm: number): void {
    this.#counted(vm, 1, () => this.#contestant.heedEvent());
  }

  /** @param vms number of VMs, measured or not. */
  end(vms: number): Phase {
    const scaled = (count: number): number => Math.round((count * vms) / this.#vms.size);
    const { hypercalls, domainsCopied, lists, xenstoreRequests } = this.#cost;
    return {
      hypercalls: scaled(hypercalls),
      domainsCopied: scaled(domainsCopied),
      lists: scaled(lists),
      xenstoreRequests: scaled(xenstoreRequests),
      answers: this.#answers,
      wrong: this.#wrong,
      vmsMeasured: this.#vms.size,
    };
  }

  #counted<T>(vm: number, times: number, act: () => T): T {
    this.#vms.add(vm);
    const from: Cost = this.#contestant.cost;
    const result = act();
    this.#cost = addCost(this.#cost, times, from, this.#contestant.cost);
    return result;
  }
}
