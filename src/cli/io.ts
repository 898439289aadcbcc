/** What the command line needs of the world, so that a test can be the world. */
import type { Readable } from 'node:stream';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';
import type { ClientOptions, InventoryClient } from '../client/client.ts';

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
  readonly connect: (options: ClientOptions) => Promise<InventoryClient>;
  /** Standard input. Who reads it closes it, or the process would wait for more. */
  readonly input: () => Readable;
  /** Whether standard input, and standard output, is a terminal. */
  readonly inputIsTerminal: () => boolean;
  readonly outputIsTerminal: () => boolean;
  /** Columns of the terminal that standard output is; undefined where it is none. */
  readonly columns: () => number | undefined;
  readonly environment: NodeJS.ProcessEnv;
  /** Aborted when the user, or the system, wants an end. */
  readonly interrupted: () => AbortSignal;
  /** A process that has done its work ends, whatever still hangs in it. */
  readonly endSoon: () => void;
}
