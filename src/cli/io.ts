/** The command line's view of the process and of the host, so that tests can replace both. */
import type { Readable } from 'node:stream';
import type { ClientOptions, InventoryClient } from '../client/client.ts';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';

/** The part of xenstore that the command line uses. */
export interface NodeReader {
  /** Reads the value of a node; `undefined` if there is none. */
  read(path: string): Promise<string | undefined>;
  close(): Promise<void>;
}

export interface Io {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly openHypervisor: () => Promise<Hypervisor>;
  readonly openXenstore: () => Promise<NodeReader>;
  readonly connect: (options: ClientOptions) => Promise<InventoryClient>;
  /** Standard input. The reader must close it: an open one keeps the process alive. */
  readonly input: () => Readable;
  readonly inputIsTerminal: () => boolean;
  readonly outputIsTerminal: () => boolean;
  /** Columns of the terminal on standard output; `undefined` if it is no terminal, or does not report its width. */
  readonly columns: () => number | undefined;
  /** Rows of that terminal; `undefined` like {@link columns}. */
  readonly rows: () => number | undefined;
  /** Calls `listener` when that terminal gets another size, until `signal` is aborted. */
  readonly onResize: (listener: () => void, signal: AbortSignal) => void;
  readonly environment: NodeJS.ProcessEnv;
  /** A signal that SIGINT or SIGTERM aborts. */
  readonly interrupted: () => AbortSignal;
  /** Ends the process soon, even if something keeps it alive. */
  readonly endSoon: () => void;
}
