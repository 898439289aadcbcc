/**
 * Ends connections in a way that lets the client read the reason. A close with unread requests would be a reset, and a
 * client that is still writing would see a broken pipe before it reads. So this side only half-closes, discards the
 * requests that still arrive, and closes when the client has closed, or after {@link LINGER_MS}.
 */
import type { Socket } from 'node:net';
import { Failure, failureReply } from '../../protocol/encode.ts';
import { RpcCode } from '../../protocol/rpc.ts';

const LINGER_MS = 2000;
/** Maximum bytes to discard: a client that sends more is not reading, and is disconnected. */
const LINGER_BYTES_MAX = 1_048_576;
/** How long a client that is turned away may take to show its protocol by its first byte. */
const FIRST_BYTE_MS = 100;

/** Recognises HTTP by the first byte: every HTTP request begins with a capital letter, and no JSON does. */
export function isHttp(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x41 && byte <= 0x5a;
}

/** Half-closes after the buffered data, and closes once the client has closed, or after {@link LINGER_MS}. */
export function halfClose(socket: Socket): void {
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  timer.unref();
  const { bytesRead } = socket;
  socket.once('close', () => clearTimeout(timer));
  socket.on('data', () => {
    if (socket.bytesRead - bytesRead > LINGER_BYTES_MAX) socket.destroy();
  });
  socket.end();
  // The client may have half-closed before.
  if (socket.readableEnded) socket.once('finish', () => socket.destroy());
  else socket.once('end', () => socket.destroy()).resume();
}

/** The connections that are being turned away: a bounded number, because each holds a descriptor. */
export class TurnedAway {
  readonly #most: number;
  readonly #sockets = new Set<Socket>();

  /** @param most connections at a time. If there are as many, a new one replaces the oldest, which is closed. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Sends `why`, in the protocol that the client speaks, and ends the connection. */
  add(socket: Socket, why: string): void {
    const [oldest] = this.#sockets;
    if (this.#sockets.size >= this.#most) oldest?.destroy();
    this.#sockets.add(socket);
    const timer = setTimeout(() => tell(), FIRST_BYTE_MS);
    let isTold = false;
    const tell = (first?: number): void => {
      clearTimeout(timer);
      if (isTold || socket.destroyed) return;
      isTold = true;
      socket.write(isHttp(first) ? httpRefusal(why) : lineRefusal(why));
      halfClose(socket);
    };
    socket.once('data', (chunk: Buffer) => tell(chunk[0]));
    socket.once('end', () => tell());
    socket.once('close', () => {
      clearTimeout(timer);
      this.#sockets.delete(socket);
    });
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

function lineRefusal(why: string): string {
  return `${failureReply('null', new Failure(RpcCode.refused, why))}\n`;
}

function httpRefusal(why: string): string {
  const body = `${why}\n`;
  return `HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\nRetry-After: 1\r\nConnection: close\r\n\r\n${body}`;
}
