/** What the command line needs of the world, so that a test can be the world. */
import type { Hypervisor } from '../hypervisor/hypervisor.ts';

/** The little of xenstore that the command line reads. */
export interface NodeReader {
  /** The value of a node; undefined where there is none. */
  read(path: string): Promise<string | undefined>;
  close(): Promise<void>;
}

export interface Io {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly openHypervisor: () => Promise<Hypervisor>;
  readonly openXenstore: () => Promise<NodeReader>;
}
