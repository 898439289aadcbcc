/** One connection to the service's socket. Sends all text of one turn of the event loop in one write; splits input into lines. */
import { Socket } from 'node:net';
import { backoffMs } from '../backoff.ts';
import { SOCKET_PATH_BYTES_MAX } from '../protocol/socket-path.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import { Lines } from './lines.ts';

export interface ServiceSocketOptions {
  readonly path: string;
  readonly onConnect: () => void;
  /** May throw a XenError, which ends the connection. */
  readonly onLine: (line: string) => void;
  /** Called once when the connection ends, but not after `destroy()`. */
  readonly onEnd: (reason: XenError) => void;
  /** Returns the longest line allowed at present, bytes. */
  readonly maxLineBytes: () => number;
}

const RECONNECT_FIRST_MS = 20;
const RECONNECT_MAX_MS = 2000;

/** How long to read input after a write has failed, ms. */
const READ_AFTER_WRITE_ERROR_MS = 1000;

/** Delay before the next attempt to connect, ms. @param attempts failed attempts so far, 1 or more. */
export function reconnectDelayMs(attempts: number): number {
  return backoffMs(attempts, RECONNECT_FIRST_MS, RECONNECT_MAX_MS);
}

type WriteCallback = (error?: Error | null) => void;

/**
 * A socket that stays open when a write fails. Node destroys a socket after a failed write (EPIPE), and discards the
 * input that the kernel still holds: the message in which the service says why it ends the connection.
 */
class ReadingSocket extends Socket {
  readonly #onWriteError: (error: NodeJS.ErrnoException) => void;

  constructor(onWriteError: (error: NodeJS.ErrnoException) => void) {
    super();
    this.#onWriteError = onWriteError;
  }

  override _write(chunk: unknown, encoding: BufferEncoding, callback: WriteCallback): void {
    // oxlint-disable-next-line no-underscore-dangle -- the name that Node's streams give it
    super._write(chunk, encoding, this.#withoutError(callback));
  }

  override _writev(
    chunks: { chunk: unknown; encoding: BufferEncoding }[],
    callback: WriteCallback,
  ): void {
    // oxlint-disable-next-line no-underscore-dangle
    super._writev?.(chunks, this.#withoutError(callback));
  }

  #withoutError(callback: WriteCallback): WriteCallback {
    return (error) => {
      if (error) this.#onWriteError(error);
      callback();
    };
  }
}

export class ServiceSocket {
  connected = false;
  readonly #options: ServiceSocketOptions;
  readonly #socket: Socket | undefined;
  readonly #lines = new Lines();
  #outbox = '';
  #writeError: NodeJS.ErrnoException | undefined;
  #writeErrorTimer: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(options: ServiceSocketOptions) {
    this.#options = options;
    const { path } = options;
    const invalid = invalidPath(path);
    if (invalid !== undefined) {
      queueMicrotask(() => this.#end(invalid));
      return;
    }
    this.#socket = new ReadingSocket((error) => this.#writeFailed(error))
      .on('connect', () => {
        this.connected = true;
        options.onConnect();
      })
      .on('data', (chunk: Buffer) => this.#read(chunk))
      .on('error', (error: NodeJS.ErrnoException) => this.#end(this.#reasonOf(error)))
      .on('close', () => this.#end(this.#reasonOf(this.#writeError)))
      .connect({ path });
  }

  /** Bytes passed to `send` that are still in this process. */
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

  /** Ends the connection without a call of `onEnd`. */
  destroy(): void {
    this.#ended = true;
    this.connected = false;
    this.#outbox = '';
    clearTimeout(this.#writeErrorTimer);
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
      for (const line of this.#lines.push(chunk, this.#options.maxLineBytes())) {
        this.#options.onLine(line);
        if (this.#isEnded()) return;
      }
    } catch (error) {
      if (!(error instanceof XenError)) throw error;
      this.#end(error);
    }
  }

  /** Reads `#ended` again. The compiler would otherwise assume that `onLine` cannot change it. */
  #isEnded(): boolean {
    return this.#ended;
  }

  #writeFailed(error: NodeJS.ErrnoException): void {
    if (this.#ended || this.#writeError !== undefined) return;
    this.#writeError = error;
    this.#writeErrorTimer = setTimeout(
      () => this.#end(this.#reasonOf(error)),
      READ_AFTER_WRITE_ERROR_MS,
    ).unref();
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
        `the connection to the service at ${path} ended${error?.code === undefined ? '' : ` (${error.code})`}: the service was stopped or restarted; ask again`,
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

function invalidPath(path: string): XenError | undefined {
  const tooLong = Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX;
  if (!tooLong && !path.includes('\0')) return undefined;
  return new XenError(
    ErrorCode.SERVICE_UNREACHABLE,
    `${JSON.stringify(path)} cannot be the path of a socket: expected at most ${SOCKET_PATH_BYTES_MAX} bytes without NUL`,
    { errno: tooLong ? 'ENAMETOOLONG' : 'EINVAL' },
  );
}

function unreachable(path: string, errno: string): string {
  switch (errno) {
    case 'EACCES':
    case 'EPERM':
      return `permission to open the service's socket ${path} is denied (${errno}): run as root, or as a member of the socket's group`;
    case 'EAGAIN':
      return `too many connections wait for the service at ${path} to accept them (${errno}): ask again`;
    default:
      return `no service answers at ${path} (${errno}): start it by "xen-domid serve", or name its socket by --socket or XEN_DOMID_SOCKET`;
  }
}
