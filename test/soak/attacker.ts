/** Attacks that cost the service as much as possible, from many connections. Other clients must not notice. */
import { createConnection, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../support/random.ts';
import type { Client, ClientOptions } from './scene.ts';

interface Attack {
  readonly connections: number;
  /** Sent on each connection, whose answers are not read. */
  readonly text: string;
}

const LIST = '{"jsonrpc":"2.0","id":1,"method":"list","params":{"names":true}}';
const POST = `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${LIST.length}\r\n\r\n${LIST}`;
const EVENTS = 'GET /events HTTP/1.1\r\nHost: x\r\n\r\n';

const ATTACKS: readonly Attack[] = [
  // Without a complete request.
  { connections: 100, text: 'G' },
  { connections: 100, text: '{' },
  // Lists, unread.
  { connections: 60, text: `${LIST}\n`.repeat(8) },
  { connections: 60, text: POST.repeat(40) },
  // Event streams, unread, with further requests that nobody answers.
  { connections: 60, text: EVENTS },
  { connections: 20, text: EVENTS.repeat(100) },
  { connections: 20, text: '{"jsonrpc":"2.0","id":1,"method":"subscribe"}\n'.repeat(20) },
  // Requests as fast as the service reads them.
  { connections: 10, text: '{"jsonrpc":"2.0","id":1,"method":"rpc.discover"}\n'.repeat(2000) },
];

const HELD_MS = 1500;

export class Attacker implements Client {
  readonly #path: string;
  readonly #random: Random;
  #sockets: Socket[] = [];

  constructor({ scene, random }: ClientOptions) {
    this.#path = scene.path;
    this.#random = random;
  }

  async turn(): Promise<void> {
    const { connections, text } = this.#random.pick(ATTACKS);
    for (let n = 0; n < connections; n++) {
      const socket = createConnection(this.#path).on('error', () => undefined);
      socket.write(text);
      this.#sockets.push(socket);
    }
    await sleep(this.#random.below(HELD_MS));
    await this.close();
  }

  async close(): Promise<void> {
    const sockets = this.#sockets;
    this.#sockets = [];
    await Promise.all(
      sockets.map(async (socket) => {
        socket.destroy();
        if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
      }),
    );
  }
}
