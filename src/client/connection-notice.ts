/** Notice that the service has become reachable or unreachable, once for each change. */
import type { XenError } from '../xen-error.ts';

/** Callbacks that report a connection. */
export interface ConnectionCallbacks {
  /** The connection ended or could not be made, for `reason`. Called once until `onConnected` is due. */
  readonly onDisconnected?: (reason: XenError) => void;
  /** The connection is made, and the service's version is accepted. */
  readonly onConnected?: () => void;
}

/** Runs the callbacks after the current task, so that an error that they throw disturbs nothing else. */
export class ConnectionNotice {
  readonly #callbacks: ConnectionCallbacks;
  #connected: boolean | undefined;

  /** @param connected `true` to report no first connection, only one after a loss. */
  constructor(callbacks: ConnectionCallbacks, connected?: true) {
    this.#callbacks = callbacks;
    this.#connected = connected;
  }

  connected(): void {
    if (this.#connected === true) return;
    this.#connected = true;
    const { onConnected } = this.#callbacks;
    if (onConnected !== undefined) queueMicrotask(() => onConnected());
  }

  disconnected(reason: XenError): void {
    if (this.#connected === false) return;
    this.#connected = false;
    const { onDisconnected } = this.#callbacks;
    if (onDisconnected !== undefined) queueMicrotask(() => onDisconnected(reason));
  }
}
