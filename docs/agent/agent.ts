/** An agent like those of a toolstack: it keeps a table of its VMs, and acts when one of them shuts down. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Domain, LookupResult, ShutdownReason, WaitOptions, WaitResult } from 'xen-domid';

/** The part of an inventory that the agent needs. `Inventory` and `InventoryClient` both have it. */
export interface Feed {
  lookup(uuid: string): Promise<LookupResult>;
  waitFor(uuid: string, options: WaitOptions): Promise<WaitResult>;
  subscribe(options: { readonly signal?: AbortSignal }): AsyncIterable<Batch>;
}

type Batch =
  | { readonly kind: 'snapshot' | 'resync'; readonly domains: readonly Domain[] }
  | {
      readonly kind: 'changes';
      readonly changes: readonly { readonly domid: number; readonly domain?: Domain }[];
    };

/** Time for a VM to be gone, or to run, after the action. */
const REACH_MS = 30_000;

/** Pause between two actions on one VM. */
const PAUSE_MS = 500;

/** The agent's actions on a host. Each may be repeated after a restart, and must tolerate that. */
export interface Actions {
  destroy(uuid: string, domid: number): Promise<void>;
  start(uuid: string): Promise<void>;
}

/** The action after a shutdown, by its reason. Without an entry, the VM is left as it is. */
export type Policy = Partial<Record<ShutdownReason, 'destroy' | 'restart'>>;

export const USUAL: Policy = { poweroff: 'destroy', reboot: 'restart', crash: 'restart' };

/** A row of the table. */
export interface Row {
  readonly uuid: string;
  /** Its live domids. Two domids make it ambiguous: the agent does nothing to it. */
  readonly domids: readonly number[];
  readonly state: 'running' | 'shut down' | 'halted' | 'ambiguous';
}

export interface AgentOptions {
  readonly feed: Feed;
  readonly actions: Actions;
  /** UUIDs of the VMs that this agent manages. */
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
  /** Every domain that the feed has reported and that is not gone. */
  readonly #domains = new Map<number, Domain>();
  /** Pending actions by UUID: at most one for each VM. */
  readonly #acting = new Map<string, Promise<void>>();
  readonly #log: (line: string) => void;
  /** Ends the waits with the agent. */
  #signal: AbortSignal | undefined;
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
    this.#signal = signal;
    for await (const batch of this.#feed.subscribe({ signal })) {
      if (batch.kind === 'changes') {
        for (const { domid, domain } of batch.changes) this.#note(domid, domain);
      } else {
        // A snapshot replaces the table: changes may have been missed.
        this.#domains.clear();
        for (const domain of batch.domains) this.#note(domain.domid, domain);
      }
      this.#reconcile();
    }
    this.#ended = true;
  }

  /** Returns the table, as of the last batch. */
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
   * Acts on the state, not on single changes: a shutdown that happened while the agent, the service or xenstored was
   * away is in the next snapshot, and gets the same action.
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
    // Retry after a failure, or act on a shutdown that was reported meanwhile.
    await sleep(PAUSE_MS, undefined, { ref: false });
    this.#acting.delete(uuid);
    if (!this.#ended) this.#reconcile();
  }

  /** Looks up before each action, because the table may be old. */
  async #actOnce(uuid: string): Promise<void> {
    const result = await this.#feed.lookup(uuid);
    if (result.status !== 'found') return;
    const { domain } = result;
    const wanted = this.#wanted(domain);
    if (wanted === undefined) return;
    this.#log(`${uuid}: domain ${domain.domid} ${domain.shutdownReason}, ${wanted}`);
    await this.#actions.destroy(uuid, domain.domid);
    if (wanted !== 'restart') return;
    // Started too early, the VM would have two domains.
    await this.#reach(uuid, 'gone');
    await this.#actions.start(uuid);
    await this.#reach(uuid, 'running');
  }

  /** @throws Error if the VM does not come into the state. */
  async #reach(uuid: string, state: 'gone' | 'running'): Promise<void> {
    const signal = this.#signal;
    const result = await this.#feed.waitFor(uuid, {
      state,
      timeoutMs: REACH_MS,
      ...(signal && { signal }),
    });
    if (!result.reached) throw new Error(`not ${state} after ${REACH_MS} ms: ${result.status}`);
  }
}
