/** A connection that first requests the service's version, and delivers no answer before that version is accepted. */
import { protocolError, readMessage } from '../protocol/decode.ts';
import type { XenError } from '../xen-error.ts';
import { connectionErrorOf, resultOf } from './replies.ts';
import { ServiceSocket } from './socket.ts';

export interface ServiceConnectionOptions {
  readonly path: string;
  /** Requests to send after the one for the version, in the same write. */
  readonly firstRequests: () => string;
  /** @throws XenError if the client must not use this service. */
  readonly checkVersion: (version: unknown) => void;
  /** The version is accepted. */
  readonly onReady: () => void;
  /** Called only after `onReady`, and not for empty lines. May throw a XenError, which ends the connection. */
  readonly onLine: (line: string) => void;
  readonly onEnd: (reason: XenError) => void;
  readonly maxLineBytes: () => number;
  /** Most answers that may come before the answer to `version`. */
  readonly maxEarlyLines: () => number;
}

/** Id of the request for the version; the ids of other requests are higher. */
export const VERSION_ID = 0;
const VERSION_REQUEST = requestLine(VERSION_ID, 'version', '{}');

/** @param params as JSON. */
export function requestLine(id: number, method: string, params: string): string {
  return `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${params}}\n`;
}

/** Returns a notification that cancels the request with this id. */
export function cancelLine(id: number): string {
  return `{"jsonrpc":"2.0","method":"cancel","params":{"id":${id}}}\n`;
}

export class ServiceConnection {
  readonly socket: ServiceSocket;
  readonly #options: ServiceConnectionOptions;
  #ready = false;
  /** Answers that came before the answer to `version`. */
  #early: string[] = [];

  constructor(options: ServiceConnectionOptions) {
    this.#options = options;
    const { path, firstRequests, onEnd, maxLineBytes } = options;
    this.socket = new ServiceSocket({
      path,
      onConnect: () => this.socket.send(VERSION_REQUEST + firstRequests()),
      onLine: (line) => this.#read(line),
      onEnd,
      maxLineBytes,
    });
  }

  /** Whether the version has been accepted. */
  get ready(): boolean {
    return this.#ready;
  }

  #read(line: string): void {
    if (line === '') return;
    if (this.#ready) this.#options.onLine(line);
    else this.#readFirst(line);
  }

  #readFirst(line: string): void {
    const message = readMessage(line);
    const { id } = message;
    if (id === VERSION_ID) {
      this.#options.checkVersion(resultOf(message, 'version'));
      this.#ready = true;
      this.#options.onReady();
      for (const early of this.#early.splice(0)) this.#options.onLine(early);
    } else if (id === null || id === undefined) {
      throw connectionErrorOf(message);
    } else if (this.#early.length < this.#options.maxEarlyLines()) {
      this.#early.push(line);
    } else {
      throw protocolError('more answers than there are requests');
    }
  }
}
