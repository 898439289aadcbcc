/** A scripted xenstored on a real Unix socket. It encodes and decodes messages itself, independent of the code under test. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Request {
  readonly type: number;
  readonly reqId: number;
  readonly txId: number;
  readonly payload: string;
}

/** Handles each request, in the order of arrival. */
export type Script = (request: Request, peer: Peer) => void;

export function frame(type: number, reqId: number, txId: number, payload: string): Buffer {
  const body = Buffer.from(payload, 'latin1');
  const header = Buffer.alloc(16);
  header.writeUInt32LE(type, 0);
  header.writeUInt32LE(reqId, 4);
  header.writeUInt32LE(txId, 8);
  header.writeUInt32LE(body.length, 12);
  return Buffer.concat([header, body]);
}

export class Peer {
  readonly path: string;
  readonly requests: Request[] = [];
  /** The connection of the last client. */
  socket: Socket | undefined;
  readonly #directory: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #script: Script;
  #waiting: { count: number; resolve: () => void }[] = [];

  private constructor(directory: string, server: Server, script: Script) {
    this.#directory = directory;
    this.#server = server;
    this.#script = script;
    this.path = join(directory, 'socket');
    server.on('connection', (socket) => this.#accept(socket));
  }

  static async listen(script: Script = () => {}): Promise<Peer> {
    const directory = await mkdtemp(join(tmpdir(), 'xenstore-peer-'));
    const peer = new Peer(directory, createServer(), script);
    await new Promise<void>((resolve) => peer.#server.listen(peer.path, resolve));
    return peer;
  }

  /** Sends bytes unchanged. Resolves when the kernel has accepted them. */
  send(...pieces: Buffer[]): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!this.socket) throw new Error('nobody is connected');
      this.socket.write(Buffer.concat(pieces), (error) => (error ? reject(error) : resolve()));
    });
  }

  reply(request: Request, payload: string): void {
    void this.send(frame(request.type, request.reqId, request.txId, payload));
  }

  refuse(request: Request, errno: string): void {
    void this.send(frame(16, request.reqId, request.txId, `${errno}\0`));
  }

  event(path: string, token: string): void {
    void this.send(frame(15, 0, 0, `${path}\0${token}\0`));
  }

  /** Resolves when `count` requests have come in total. */
  received(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ count, resolve });
      this.#wake();
    });
  }

  /** Closes the sockets of all clients, as if the daemon had died. */
  kill(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.kill();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await rm(this.#directory, { recursive: true });
  }

  #accept(socket: Socket): void {
    this.socket = socket;
    this.#sockets.add(socket);
    let unread: Buffer = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('data', (chunk: Buffer) => {
      unread = Buffer.concat([unread, chunk]);
      while (unread.length >= 16 && unread.length >= 16 + unread.readUInt32LE(12)) {
        const end = 16 + unread.readUInt32LE(12);
        const request: Request = {
          type: unread.readUInt32LE(0),
          reqId: unread.readUInt32LE(4),
          txId: unread.readUInt32LE(8),
          payload: unread.toString('latin1', 16, end),
        };
        unread = unread.subarray(end);
        this.requests.push(request);
        this.#script(request, this);
      }
      this.#wake();
    });
  }

  #wake(): void {
    const due = this.#waiting.filter(({ count }) => count <= this.requests.length);
    this.#waiting = this.#waiting.filter(({ count }) => count > this.requests.length);
    for (const { resolve } of due) resolve();
  }
}
