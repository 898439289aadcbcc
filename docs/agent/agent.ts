/** An agent as a toolstack has one: it keeps a table of its VMs, and acts when one of them shuts down. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Domain, LookupResult, ShutdownReason } from 'xen-domid';

/** What the agent follows. The inventory of this process has this shape, and so has the client of a service. */
export interface Feed {
  lookup(uuid: string): Promise<LookupResult>;
  subscribe(options: { readonly signal?: AbortSignal }): AsyncIterable<Batch>;
}

type Batch =
  | { readonly kind: 'snapshot' | 'resync'; readonly domains: readonly Domain[] }
  | {
      readonly kind: 'changes';
      readonly changes: readonly { readonly domid: number; readonly domain?: Domain }[];
    };

/** Between two actions on one VM. */
const PAUSE_MS = 500;

/** What the agent does to a host. Each may be asked for again after a restart, and has to bear it. */
export interface Actions {
  destroy(uuid: string, domid: number): Promise<void>;
  start(uuid: string): Promise<void>;
}

/** What to do when a VM shuts down, by its reason; left alone where nothing is said. */
export type Policy = Partial<Record<ShutdownReason, 'destroy' | 'restart'>>;

export const USUAL: Policy = { poweroff: 'destroy', reboot: 'restart', crash: 'restart' };

/** A row of the table. */
export interface Row {
  readonly uuid: string;
  /** Where it runs; two while a VM has a twin, which is nobody's to act on. */
  readonly domids: readonly number[];
  readonly state: 'running' | 'shut down' | 'halted' | 'ambiguous';
}

export interface AgentOptions {
  readonly feed: Feed;
  readonly actions: Actions;
  /** The UUIDs of the VMs that are this agent's. */
  readonly vms: readonly string[];
  /** Default {@link USUAL}. */
  readonly policy?: Policy;
  readonly log?: (line: string) => void;
}

export class Agent {
  readonly #feed: Feed;
  readonly #actions: Actions;
  readonly #policy: Policy;
  readonly #mine: ReadonlySet<string>;
  /** Every domain that the feed has told of and not yet said to be gone. */
  readonly #domains = new Map<number, Domain>();
  /** What is being done to VMs now, by UUID: one thing at a time. */
  readonly #acting = new Map<string, Promise<void>>();
  readonly #log: (line: string) => void;
  #ended = false;

  constructor(options: AgentOptions) {
    this.#feed = options.feed;
    this.#actions = options.actions;
    this.#mine = new Set(options.vms);
    this.#policy = options.policy ?? USUAL;
    this.#log = options.log ?? (() => undefined);
  }

  /** Follows the feed until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    for await (const batch of this.#feed.subscribe({ signal })) {
      if (batch.kind === 'changes') {
        for (const { domid, domain } of batch.changes) this.#note(domid, domain);
      } else {
        // What was known before may be wrong in any way, so nothing of it stays.
        this.#domains.clear();
        for (const domain of batch.domains) this.#note(domain.domid, domain);
      }
      this.#reconcile();
    }
    this.#ended = true;
  }

  /** The table, as far as the feed has told. */
  table(): Row[] {
    return [...this.#mine].map((uuid) => this.#row(uuid));
  }

  #note(domid: number, domain: Domain | undefined): void {
    if (domain === undefined) this.#domains.delete(domid);
    else this.#domains.set(domid, domain);
  }

  #row(uuid: string): Row {
    const holders = this.#holders(uuid);
    const domids = holders.map(({ domid }) => domid);
    const [only, another] = holders;
    if (another !== undefined) return { uuid, domids, state: 'ambiguous' };
    if (only === undefined) return { uuid, domids, state: 'halted' };
    return { uuid, domids, state: only.shutdown ? 'shut down' : 'running' };
  }

  #holders(uuid: string): Domain[] {
    return [...this.#domains.values()].filter((one) => one.uuid === uuid && !one.dying);
  }

  /**
   * Acts on what is, not on what was told: a shutdown that happened while the agent, the service or xenstored was
   * away is in the next snapshot, and is acted on just the same.
   */
  #reconcile(): void {
    for (const uuid of this.#mine) {
      const [only, another] = this.#holders(uuid);
      if (only === undefined || another !== undefined || this.#acting.has(uuid)) continue;
      if (this.#wanted(only) !== undefined) this.#acting.set(uuid, this.#act(uuid));
    }
  }

  #wanted({ shutdownReason }: Domain): 'destroy' | 'restart' | undefined {
    return shutdownReason === undefined ? undefined : this.#policy[shutdownReason];
  }

  async #act(uuid: string): Promise<void> {
    try {
      await this.#actOnce(uuid);
    } catch (error) {
      this.#log(`${uuid}: ${String(error)}`);
    }
    // Then what has failed, or has come meanwhile, has its turn.
    await sleep(PAUSE_MS, undefined, { ref: false });
    this.#acting.delete(uuid);
    if (!this.#ended) this.#reconcile();
  }

  /** The table says what was; before anything is done to a domain, the hypervisor says what is. */
  async #actOnce(uuid: string): Promise<void> {
    const result = await this.#feed.lookup(uuid);
    if (result.status !== 'found') return;
    const { domain } = result;
    const wanted = this.#wanted(domain);
    if (wanted === undefined) return;
    this.#log(`${uuid}: domain ${domain.domid} ${domain.shutdownReason}, ${wanted}`);
    await this.#actions.destroy(uuid, domain.domid);
    if (wanted === 'restart') await this.#actions.start(uuid);
  }
}
