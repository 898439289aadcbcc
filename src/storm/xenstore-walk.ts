/** Look-ups that ask only xenstore: for its domains, then for the VM of each domain. */
import type { SimulatedXenstored } from '../simulator/index.ts';
import type { Uuid } from '../uuid.ts';
import { XENSTORE_PAYLOAD_MAX } from '../xenstore/messages.ts';
import type { Contestant, Cost } from './contestant.ts';

const DOMAINS = '/local/domain';
/** Bytes of a part of a directory that hold the directory's generation. */
const GENERATION_BYTES = 16;

export class XenstoreWalk implements Contestant {
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

  /** Reads domain by domain, and stops when the caller does. */
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
    // xenstored refuses a directory that does not fit in one message. The client then requests it in parts.
    if (bytes > XENSTORE_PAYLOAD_MAX) {
      const parts = Math.ceil(bytes / (XENSTORE_PAYLOAD_MAX - GENERATION_BYTES));
      for (let part = 0; part < parts; part++) this.#ask();
    }
    return names;
  }

  #ask(): void {
    this.beforeCall?.();
    this.#requests++;
  }
}
