/** A host that can fail, with a daemon that clients ask meanwhile. */
import type { Uuid } from '../../src/uuid.ts';

/** A domain in the list of an independent witness. */
export interface WitnessedDomain {
  readonly domid: number;
  readonly uuid: string;
  readonly dying: boolean;
}

export interface FaultHost {
  /** Example: `Xen 4.17, oxenstored`. */
  readonly name: string;
  /** Socket of the current daemon. */
  readonly socketPath: string;
  /** Distinguishes the current daemon from earlier ones. */
  readonly daemon: number;
  /** Creates a domain without introducing it to xenstore. */
  create(uuid: Uuid): Promise<number>;
  rename(domid: number, uuid: Uuid): Promise<void>;
  destroy(...domids: readonly number[]): Promise<void>;
  /** Introduces the domain to xenstore some time later; never if xenstore is unreachable. */
  introduce(domid: number): void;
  /** Resolves once xenstore knows the domain. */
  introduceNow(domid: number): Promise<void>;
  /** Whether the domain's introduction is in progress, so that it must not be changed. */
  isBeingIntroduced(domid: number): boolean;
  /** Lists every domain, dom0 included. */
  witness(): Promise<WitnessedDomain[]>;
  /** Resident memory of the daemon, MiB; undefined if it is not a separate process. */
  memoryMiB(): number | undefined;
}
