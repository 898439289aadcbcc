/** Look-ups that ask xenstore alone: the domains that it has, and of each which VM it is. */
import type { SimulatedXenstored } from '../simulator/index.ts';
import type { Uuid } from '../uuid.ts';
import type { Contestant, Cost } from './contestant.ts';

const DOMAINS = '/local/domain';
/** Most that a message of xenstore carries, and what of it a part of a directory gives to the directory's generation. */
const PAYLOAD_BYTES = 4096;
const GENERATION_BYTES = 16;

export class XenstoreWalk implements Contestant {
  readonly name = 'xenstore alone';
  beforeCall: (() => void) | undefined;
  readonly #xenstored: SimulatedXenstored;
  #requests = 0;
  #lists = 0;

  constructor(xenstored: SimulatedXenstored) {
    this.#xenstored = xenstored;
  }

  get cost(): Cost {
    return {
      hypercalls: 0,
      domainsCopied: 0,
      lists: this.#lists,
      xenstoreRequests: this.#requests,
    };
  }

  lookUp(uuid: Uuid): number | undefined {
    const wanted = `/vm/${uuid}`;
    for (const [domid, vm] of this.#vms()) if (vm === wanted) return domid;
    return undefined;
  }

  heedEvent(): void {
    for (const _ of this.#vms());
  }

  /** Domain by domain, as whoever walks them reads them. */
  *#vms(): Generator<[domid: number, vm: string | undefined]> {
    this.#lists++;
    for (const name of this.#domains()) {
      this.#ask();
      yield [Number(name), this.#xenstored.read(`${DOMAINS}/${name}/vm`)];
    }
  }

  #domains(): string[] {
    this.#ask();
    const names = this.#xenstored.directory(DOMAINS) ?? [];
    const bytes = names.reduce((sum, name) => sum + name.length + 1, 0);
    // What does not fit a message is refused, and then got in parts.
    if (bytes > PAYLOAD_BYTES) {
      const parts = Math.ceil(bytes / (PAYLOAD_BYTES - GENERATION_BYTES));
      for (let part = 0; part < parts; part++) this.#ask();
    }
    return names;
  }

  #ask(): void {
    this.beforeCall?.();
    this.#requests++;
  }
}
