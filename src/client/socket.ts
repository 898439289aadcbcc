/** One connection to the service: what is written in one go is sent in one write, what comes is cut into lines. */
import { createConnection, type Socket } from 'node:net';
import { backoffMs } from '../backoff.ts';
import { SOCKET_PATH_BYTES_MAX } from '../protocol/socket-path.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import { Lines } from './lines.ts';

export interface ServiceSocketOptions {
  readonly path: string;
  readonly onConnect: () => void;
  /** May throw a XenError: the connection is given up then. */
  readonly onLine: (line: string) => void;
  /** Called once, whatever ended it; not after `destroy()`. */
  readonly onEnd: (reason: XenError) => void;
  /** The longest line that can be an answer now, bytes. */
  readonly mostLineBytes: () => number;
}

const RECONNECT_FIRST_MS = 20;
const RECONNECT_MAX_MS = 2000;

/** How long to wait before connecting again, ms. @param attempts failed attempts so far, 1 or more. */
export function reconnectDelayMs(attempts: number): number {
  return backoffMs(attempts, RECONNECT_FIRST_MS, RECONNECT_MAX_MS);
}

export class ServiceSocket {
  connected = false;
  readonly #options: ServiceSocketOptions;
  readonly #socket: Socket | undefined;
  readonly #lines = new Lines();
  #outbox = '';
  #ended = false;

  constructor(options: ServiceSocketOptions) {
    this.#options = options;
    const { path } = options;
    if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX || path.includes('\0')) {
      const reason = new XenError(
        ErrorCode.SERVICE_UNREACHABLE,
        `${JSON.stringify(path)} can be no socket: a path of at most ${SOCKET_PATH_BYTES_MAX} bytes is wanted`,
      );
      queueMicrotask(() => this.#end(reason));
      return;
    }
    this.#socket = createConnection({ path })
      .on('connect', () => {
        this.connected = true;
        options.onConnect();
      })
      .on('data', (chunk: Buffer) => this.#read(chunk))
      .on('error', (error: NodeJS.ErrnoException) => this.#end(this.#reasonOf(error)))
      .on('close', () => this.#end(this.#reasonOf(undefined)));
  }

  /** Bytes given to `send` that have not left the process. */
  get unsentBytes(): number {
    return this.#outbox.length + (this.#socket?.writableLength ?? 0);
  }

  send(text: string): void {
    if (this.#outbox === '') queueMicrotask(() => this.#flush());
    this.#outbox += text;
  }

  /** Whether the connection keeps the process alive. */
  keepAlive(keep: boolean): void {
    if (keep) this.#socket?.ref();
    else this.#socket?.unref();
  }

  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  /** Nothing more is sent, and nobody is told of anything. */
  destroy(): void {
    this.#ended = true;
    this.connected = false;
    this.#outbox = '';
    this.#socket?.destroy();
  }

  #flush(): void {
    const text = this.#outbox;
    this.#outbox = '';
    if (!this.#ended && text !== '') this.#socket?.write(text);
  }

  #read(chunk: Buffer): void {
    if (this.#ended) return;
    try {
      for (const line of this.#lines.push(chunk, this.#options.mostLineBytes())) {
        this.#options.onLine(line);
        if (this.#isEnded()) return;
      }
    } catch (error) {
      if (!(error instanceof XenError)) throw error;
      this.#end(error);
    }
  }

  /** What a line led to may have ended it. */
  #isEnded(): boolean {
    return this.#ended;
  }

  #end(reason: XenError): void {
    if (this.#ended) return;
    this.destroy();
    this.#options.onEnd(reason);
  }

  #reasonOf(error: NodeJS.ErrnoException | undefined): XenError {
    const { path } = this.#options;
    if (this.connected) {
      return new XenError(
        ErrorCode.SERVICE_DISCONNECTED,
        `the connection to the service at ${path} ended${error?.code === undefined ? '' : ` (${error.code})`}: it was stopped or restarted; ask again`,
        error === undefined ? {} : { cause: error, ...(error.code && { errno: error.code }) },
      );
    }
    const errno = error?.code ?? 'unknown';
    return new XenError(ErrorCode.SERVICE_UNREACHABLE, unreachable(path, errno), {
      errno,
      ...(error !== undefined && { cause: error }),
    });
  }
}

function unreachable(path: string, errno: string): string {
  switch (errno) {
    case 'EACCES':
    case 'EPERM':
      return `the service's socket ${path} may not be opened (${errno}): be root, or of the socket's group`;
    case 'EAGAIN':
      return `too many wait for the service at ${path} to take their connection (${errno}): ask again`;
    default:
      return `no service answers at ${path} (${errno}): start it by "xen-domid serve", or name its socket by --socket or XEN_DOMID_SOCKET`;
  }
}
