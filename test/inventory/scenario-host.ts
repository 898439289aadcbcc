/** What a scenario needs of a host, simulated or real: to make domains, to change them, and to end them. */
import type { Domid } from '../../src/domain.ts';
import type { Hypervisor } from '../../src/hypervisor/hypervisor.ts';
import type { XenstoreSession } from '../../src/inventory/pipeline.ts';
import type { Uuid } from '../../src/uuid.ts';

export interface ScenarioHost {
  /** Closed by {@link close}. */
  readonly hypervisor: Hypervisor;
  readonly openXenstore: () => Promise<XenstoreSession>;
  /** A domain that is paused, and of which xenstore knows nothing. Its handle is nil where no UUID is given. */
  create(options?: { readonly uuid?: Uuid; readonly domid?: number }): Promise<Domid>;
  /** So many domains with UUIDs of their own, created and introduced as fast as the host can. */
  boot(count: number): Promise<Domid[]>;
  introduce(domid: Domid): Promise<void>;
  pause(domid: Domid): Promise<void>;
  unpause(domid: Domid): Promise<void>;
  /** With a SHUTDOWN_* code. */
  shutdown(domid: Domid, code: number): Promise<void>;
  resume(domid: Domid): Promise<void>;
  /** Gives the domain another handle, of which nothing is told to anybody. */
  rename(domid: Domid, uuid: Uuid): Promise<void>;
  /** All of them at once. Those that are held stay, dying. */
  destroy(...domids: readonly Domid[]): Promise<void>;
  /** Keeps the domain from going when it is destroyed. @returns how to let go of it. */
  hold(domid: Domid): Promise<() => Promise<void>>;
  /** As a crash would. */
  killXenstored(): Promise<void>;
  startXenstored(): Promise<void>;
  /** Takes a figure that was measured. */
  note(text: string): void;
  /** Ends every domain that was made, whoever holds it, and starts xenstored where it was killed. */
  close(): Promise<void>;
}

/** What not every host can produce. */
export type Ability =
  /** Hands out domids one after the other. */
  | 'sequentialDomids'
  /** Lets two domains that had one domid be told apart, so that one which changed is known to be the same. */
  | 'sameDomain';

/** Why a host cannot. */
export type Inabilities = Readonly<Partial<Record<Ability, string>>>;
