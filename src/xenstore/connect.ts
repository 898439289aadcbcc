/** Opens the socket to xenstored: path after path, and once more while the daemon's short queue is full. */
import { createConnection, type OnReadOpts, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type FailedConnect, unreachable } from './socket-path.ts';

const BACKOFF_FIRST_MS = 1;
const BACKOFF_MOST_MS = 100;

const READ_BYTES = 64 * 1024;

/**
 * Reads a socket into one buffer that is used again and again. An event of xenstore comes alone, and what Node's
 * streams do around a few bytes costs more than all that is done about it.
 */
export class SocketReader {
  /** For whoever connects the socket. */
  readonly onread: OnReadOpts = {
    buffer: Buffer.allocUnsafeSlow(READ_BYTES),
    callback: (byteLength, buffer) => {
      this.take(buffer.subarray(0, byteLength));
      return true;
    },
  };
  /** Is given what was read, which holds until it returns. Nothing is read before it has been set, for nothing was asked. */
  take: (chunk: Uint8Array) => void = () => undefined;
}

/**
 * A socket connected to the first of `paths` that takes us.
 * Both daemons listen with a backlog of 1, so that a burst of clients gets EAGAIN: it is tried again,
 * after 1 ms, then doubling up to 100 ms, for as long as `timeoutMs`.
 * @throws XenError `ERR_XENSTORE_UNREACHABLE`; the signal's reason where it was aborted.
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
        // The next path is tried only where this one fails
        return await connectOnce(path, reader);
      } catch (error) {
        failed.push({ path, errno: errnoOf(error) });
        last = error;
      }
    }
    const full = failed.some(({ errno }) => errno === 'EAGAIN');
    if (!full || performance.now() + delayMs > deadline) throw unreachable(failed, last);
    // Half of it random: those refused together shall not come back together.
    await sleep(delayMs * (0.5 + Math.random() / 2), undefined, signal ? { signal } : {}).catch(
      // Only the signal ends a sleep early, and the loop's head says so with its own reason.
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

/** The name of the error number in an error of Node's own. */
export function errnoOf(error: unknown): string {
  // No instanceof: in a test's realm, Node's own errors are of another Error.
  const code: unknown =
    typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'unknown';
}
