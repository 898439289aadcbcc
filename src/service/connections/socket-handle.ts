/** What Node knows of a socket and has no public name for; its handle has been the same since Node 0.x, and all here do without. */
import type { Socket } from 'node:net';

interface WithHandle {
  readonly _handle?: {
    readonly fd?: number;
    readonly writeQueueSize?: number;
    readonly bytesWritten?: number;
  } | null;
}

/** The file descriptor, while the socket has one. */
export function fdOf(socket: Socket): number | undefined {
  // oxlint-disable-next-line no-underscore-dangle
  const fd = (socket as unknown as WithHandle)._handle?.fd;
  return fd === undefined || fd < 0 ? undefined : fd;
}

/** Bytes that the kernel has not taken: unlike `writableLength` it falls while a long write is under way. */
function untakenBytes(socket: Socket): number {
  // oxlint-disable-next-line no-underscore-dangle
  return (socket as unknown as WithHandle)._handle?.writeQueueSize ?? socket.writableLength;
}

/** Bytes that the kernel has taken since the connection began. */
function takenBytes(socket: Socket): number {
  // oxlint-disable-next-line no-underscore-dangle
  const handle = (socket as unknown as WithHandle)._handle;
  return (handle?.bytesWritten ?? socket.bytesWritten) - untakenBytes(socket);
}

/** Whether a peer takes what there is for it. Knows as much as was looked: whoever wants to know asks now and then. */
export class SlowPeer {
  readonly #socket: Socket;
  /** Bytes that the peer had taken when they were last counted, and when it last owed none or took some. */
  #taken = 0;
  #takenAt = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** How long the peer has taken nothing of what there is for it, ms. */
  ms(now: number): number {
    // Not by what is left: that is the same again when as much was written as was taken.
    const taken = takenBytes(this.#socket);
    if (taken !== this.#taken || untakenBytes(this.#socket) === 0) {
      this.#taken = taken;
      this.#takenAt = now;
    }
    return now - this.#takenAt;
  }
}
