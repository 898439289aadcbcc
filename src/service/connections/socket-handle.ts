/** Properties of a socket for which Node has no public name. Node's handle has had these fields since 0.x, and every function here works without them. */
import type { Socket } from 'node:net';

interface WithHandle {
  readonly _handle?: {
    readonly fd?: number;
    readonly writeQueueSize?: number;
    readonly bytesWritten?: number;
  } | null;
}

/** Returns the file descriptor, while the socket has one. */
export function fdOf(socket: Socket): number | undefined {
  // oxlint-disable-next-line no-underscore-dangle
  const fd = (socket as unknown as WithHandle)._handle?.fd;
  return fd === undefined || fd < 0 ? undefined : fd;
}

/** Returns the bytes that the kernel has not taken: unlike `writableLength`, falls during a long write. */
function untakenBytes(socket: Socket): number {
  // oxlint-disable-next-line no-underscore-dangle
  return (socket as unknown as WithHandle)._handle?.writeQueueSize ?? socket.writableLength;
}

/** Returns the bytes that the kernel has taken since the connection began. */
function takenBytes(socket: Socket): number {
  // oxlint-disable-next-line no-underscore-dangle
  const handle = (socket as unknown as WithHandle)._handle;
  return (handle?.bytesWritten ?? socket.bytesWritten) - untakenBytes(socket);
}

/** Measures how long a peer has left data unread. Samples on each call, so call it periodically. */
export class SlowPeer {
  readonly #socket: Socket;
  /** Bytes that the peer had taken at the last sample. */
  #taken = 0;
  /** Time of the last sample at which the peer had taken more, or had nothing left to read. */
  #takenAt = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Returns how long the peer has read nothing although there is data for it, ms. */
  unreadMs(now: number): number {
    // Compare bytes taken, not the queue's length: the queue has the same length when as much was written as was taken.
    const taken = takenBytes(this.#socket);
    if (taken !== this.#taken || untakenBytes(this.#socket) === 0) {
      this.#taken = taken;
      this.#takenAt = now;
    }
    return now - this.#takenAt;
  }
}

/** The fields by which Node's HTTP server pauses a connection with too many pipelined answers: the same since Node 0.12. */
interface HttpSocket {
  _paused?: boolean;
  readonly parser?: { resume(): void } | null;
}

/** Stops reading from a connection of an HTTP server. `socket.pause()` is not enough: the server resumes after each request. */
export function pauseHttp(socket: Socket): void {
  // oxlint-disable-next-line no-underscore-dangle
  (socket as unknown as HttpSocket)._paused = true;
  socket.pause();
}

export function resumeHttp(socket: Socket): void {
  const http = socket as unknown as HttpSocket;
  // oxlint-disable-next-line no-underscore-dangle
  http._paused = false;
  http.parser?.resume();
  socket.resume();
}
