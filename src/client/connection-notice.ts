/** Reports that the service has become reachable or unreachable, once for each change. */
import type { XenError } from '../xen-error.ts';

/** Callbacks that report a connection. */
export interface ConnectionCallbacks {
  /** Called when the connection ends or cannot be made, for `reason`. Not called again before the next `onConnected`. */
  readonly onDisconnected?: (reason: XenError) => void;
  /** Called when the connection is made, and the service's version is accepted. */
  readonly onConnected?: () => void;
}

/** Runs the callbacks in microtasks, so that an error thrown by one does not disturb the caller. */
export class ConnectionNotice {
  readonly #callbacks: ConnectionCallbacks;
  #connected: boolean | undefined;

  /** @param connected `true` to skip the report of the first connection, and to report only those after a loss. */
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
