/** Operations of a scenario on a host, simulated or real: create, change and destroy domains. */
import type { Domid } from '../../src/domain.ts';
import type { Hypervisor } from '../../src/hypervisor/hypervisor.ts';
import type { XenstoreSession } from '../../src/inventory/pipeline.ts';
import type { Uuid } from '../../src/uuid.ts';

export interface ScenarioHost {
  /** Closed by {@link close}. */
  readonly hypervisor: Hypervisor;
  readonly openXenstore: () => Promise<XenstoreSession>;
  /** Creates a paused domain that is unknown to xenstore, with a nil handle by default. */
  create(options?: { readonly uuid?: Uuid; readonly domid?: number }): Promise<Domid>;
  /** Creates and introduces domains with UUIDs of their own, as fast as the host can. */
  boot(count: number): Promise<Domid[]>;
  introduce(domid: Domid): Promise<void>;
  pause(domid: Domid): Promise<void>;
  unpause(domid: Domid): Promise<void>;
  /** Shuts the domain down with a SHUTDOWN_* code. */
  shutdown(domid: Domid, code: number): Promise<void>;
  resume(domid: Domid): Promise<void>;
  /** Gives the domain another handle, without an announcement. */
  rename(domid: Domid, uuid: Uuid): Promise<void>;
  /** Destroys all of them at once. Held domains stay, dying. */
  destroy(...domids: readonly Domid[]): Promise<void>;
  /**
   * Keeps the domain from disappearing when it is destroyed.
   * @returns a function that releases it.
   */
  hold(domid: Domid): Promise<() => Promise<void>>;
  /** Ends xenstored like a crash. */
  killXenstored(): Promise<void>;
  startXenstored(): Promise<void>;
  /** Reports a measured figure. */
  note(text: string): void;
  /** Destroys every created domain, held ones too, and restarts xenstored if it was killed. */
  close(): Promise<void>;
}

/** Abilities that some hosts lack. */
export type Ability =
  /** Assigns domids in ascending order. */
  | 'sequentialDomids'
  /** Distinguishes two domains that had one domid, so that a changed domain is known to be the same. */
  | 'sameDomain';

/** The reason for each missing ability. */
export type Inabilities = Readonly<Partial<Record<Ability, string>>>;
