/** A connection with one JSON message a line. It matches replies to requests; a reply without a request is a violation. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { createConnection, type Socket } from 'node:net';
import type { Change } from '../../src/change.ts';
import type { Domain } from '../../src/domain.ts';
import { Violation } from '../oracle/violation.ts';
import type { Reply } from './reply-judge.ts';

export interface Notification {
  readonly method: 'changes' | 'resync';
  readonly params: {
    readonly subscription: number;
    readonly changes?: readonly Change[];
    readonly domains?: readonly Domain[];
    readonly token: string;
  };
}

export type Message = Reply & Partial<Notification> & { readonly id?: number | null };

/** The connection has ended: pending requests are lost. */
export class Lost extends Error {
  override readonly name = 'Lost';
}

/** Time before another attempt to connect, if the queue of the socket is full. */
const QUEUE_FULL_MS = 20;

interface Waiter {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
}

export class LineClient {
  readonly socket: Socket;
  /** Receives notifications; throws if one is wrong. */
  onNotification: (notification: Notification) => void = () => undefined;
  /** Receives replies without a request, which garbage can cause. */
  onStray: (message: Message) => void = (message) => {
    throw new Violation(`a reply without a request: ${JSON.stringify(message)}`);
  };
  #text = '';
  #lastId = 0;
  #failure: Error | undefined;
  readonly #waiting = new Map<number, Waiter>();

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('utf8').on('data', (text: string) => this.#read(text));
    socket.on('error', () => undefined);
    socket.on('end', () => this.#lose());
    socket.on('close', () => this.#lose());
  }

  /** @throws Lost if nothing listens. */
  static async connect(path: string): Promise<LineClient> {
    for (;;) {
      const socket = createConnection({ path, allowHalfOpen: true });
      try {
        // oxlint-disable-next-line no-await-in-loop -- until there is room in the queue of the socket
        await once(socket, 'connect');
        return new LineClient(socket);
      } catch (error) {
        // An attacker has filled the queue of the socket: the system tells clients to try again.
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw new Lost(String(error));
        // oxlint-disable-next-line no-await-in-loop
        await sleep(QUEUE_FULL_MS);
      }
    }
  }

  get lost(): boolean {
    return this.#failure !== undefined;
  }

  /** The first error of this connection. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Returns the text of a request and its pending reply. */
  prepare(method: string, params?: object): { text: string; reply: Promise<Reply> } {
    const id = ++this.#lastId;
    const text = JSON.stringify({ jsonrpc: '2.0', id, method, params });
    const reply = new Promise<Reply>((resolve, reject) => {
      if (this.#failure === undefined) this.#waiting.set(id, { resolve, reject });
      else reject(this.#failure);
    });
    // The caller's `await` still rejects; this only marks the rejection as handled.
    reply.catch(() => undefined);
    return { text, reply };
  }

  call(method: string, params?: object): Promise<Reply> {
    const { text, reply } = this.prepare(method, params);
    this.send(`${text}\n`);
    return reply;
  }

  send(bytes: string | Uint8Array): void {
    if (!this.socket.destroyed && this.socket.writable) this.socket.write(bytes);
  }

  /** Half-closes, and waits until the service has closed too. */
  async end(): Promise<void> {
    this.socket.end();
    await this.#closed();
    if (this.#failure instanceof Violation) throw this.#failure;
  }

  async destroy(): Promise<void> {
    this.socket.destroy();
    await this.#closed();
  }

  async #closed(): Promise<void> {
    if (!this.socket.closed) await new Promise((resolve) => this.socket.once('close', resolve));
  }

  #read(text: string): void {
    const lines = (this.#text + text).split('\n');
    this.#text = lines.pop() ?? '';
    for (const line of lines) {
      try {
        this.#take(JSON.parse(line) as Message | Message[]);
      } catch (error) {
        this.#fail(error instanceof Violation ? error : new Violation(`${String(error)}: ${line}`));
        this.socket.destroy();
        return;
      }
    }
  }

  #take(message: Message | Message[]): void {
    if (Array.isArray(message)) {
      for (const one of message) this.#take(one);
      return;
    }
    if (message.method !== undefined) {
      this.onNotification(message as Notification);
      return;
    }
    const waiter = typeof message.id === 'number' ? this.#waiting.get(message.id) : undefined;
    if (waiter === undefined) {
      this.onStray(message);
      return;
    }
    this.#waiting.delete(message.id as number);
    waiter.resolve(message);
  }

  #lose(): void {
    if (this.#text !== '' && !this.socket.destroyed && this.#failure === undefined)
      this.#fail(new Lost(`in the middle of ${this.#text.slice(0, 80)}`));
    else this.#fail(new Lost('the connection has ended'));
    this.socket.end();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
  }
}
