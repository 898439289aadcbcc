/** Opens the socket to xenstored: tries each path, and retries while the daemon's short queue is full. */
import { createConnection, type OnReadOpts, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type FailedConnect, unreachable } from './socket-path.ts';

const BACKOFF_FIRST_MS = 1;
const BACKOFF_MOST_MS = 100;

const READ_BYTES = 64 * 1024;

/**
 * Reads a socket into one buffer that is reused. Events of xenstore are short and arrive one by one: the overhead of
 * Node's streams would cost more than handling them.
 */
export class SocketReader {
  /** Option for `createConnection`. */
  readonly onread: OnReadOpts = {
    buffer: Buffer.allocUnsafeSlow(READ_BYTES),
    callback: (byteLength, buffer) => {
      this.take(buffer.subarray(0, byteLength));
      return true;
    },
  };
  /** Handles each chunk, which is valid only until it returns. Set before the first request, so no chunk comes earlier. */
  take: (chunk: Uint8Array) => void = () => undefined;
}

/**
 * Returns a socket connected to the first of `paths` that accepts a connection. Both daemons listen with a backlog
 * of 1, so that a burst of clients gets EAGAIN: retried after 1 ms, doubling to 100 ms, until `timeoutMs` is over.
 * @throws XenError `ERR_XENSTORE_UNREACHABLE`; the signal's reason if it is aborted.
 */
export async function connectSocket(
  paths: readonly string[],
  timeoutMs: number,
  signal: AbortSignal | undefined,
  reader: SocketReader,
): Promise<Socket> {
  const deadline = performance.now() + timeoutMs;
  for (let delayMs = BACKOFF_FIRST_MS; ; delayMs = Math.min(2 * delayMs, BACKOFF_MOST_MS)) {
    signal?.throwIfAborted();
    const failed: FailedConnect[] = [];
    let last: unknown;
    for (const path of paths) {
      try {
        return await connectOnce(path, reader);
      } catch (error) {
        failed.push({ path, errno: errnoOf(error) });
        last = error;
      }
    }
    const full = failed.some(({ errno }) => errno === 'EAGAIN');
    if (!full || performance.now() + delayMs > deadline) throw unreachable(failed, last);
    // Half of the delay is random, so that clients refused together do not all retry at the same moment.
    await sleep(delayMs * (0.5 + Math.random() / 2), undefined, signal ? { signal } : {}).catch(
      // Only the signal ends a sleep early; the loop then throws its reason.
      () => undefined,
    );
  }
}

function connectOnce(path: string, { onread }: SocketReader): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ path, onread });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

/** Returns the name of the error number in an error of Node. */
export function errnoOf(error: unknown): string {
  // Not `instanceof Error`: Jest runs tests in a realm with another Error.
  const code: unknown =
    typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'unknown';
}
