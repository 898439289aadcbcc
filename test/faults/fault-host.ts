/** A host on which things go wrong, with a daemon that is asked meanwhile. */
import type { Uuid } from '../../src/uuid.ts';

/** A domain as somebody else than we sees it. */
export interface WitnessedDomain {
  readonly domid: number;
  readonly uuid: string;
  readonly dying: boolean;
}

export interface FaultHost {
  /** As `Xen 4.17, oxenstored`. */
  readonly name: string;
  /** Of the daemon, which may be another one than before. */
  readonly socketPath: string;
  /** Tells the daemon of now from those before. */
  readonly daemon: number;
  /** A domain that xenstore is not told of. */
  create(uuid: Uuid): Promise<number>;
  rename(domid: number, uuid: Uuid): Promise<void>;
  destroy(...domids: readonly number[]): Promise<void>;
  /** Tells xenstore of it, some time from now; where xenstore cannot be told, never. */
  introduce(domid: number): void;
  /** @returns once xenstore has been told of it. */
  introduceNow(domid: number): Promise<void>;
  /** Whether it is being introduced just now, and should be let alone. */
  isBeingIntroduced(domid: number): boolean;
  /** Every domain, dom0 included. */
  witness(): Promise<WitnessedDomain[]>;
  /** Resident memory of the daemon, MiB; undefined where it is no process of its own. */
  memoryMiB(): number | undefined;
}
