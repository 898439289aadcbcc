/** A client of xenstore that sends given messages and records all received ones in order, so that a test sees the wire. */
import { type Socket, createConnection } from 'node:net';
import { once } from 'node:events';
import { XsdType } from '../../src/xenstore/messages.ts';
import { MessageDecoder, encodeMessage } from '../../src/xenstore/wire.ts';

export class RawClient {
  /** Payloads of watch events, and `type:payload` of replies, with `|` for NUL. */
  readonly received: string[] = [];
  readonly #socket: Socket;
  readonly #waiting = new Map<number, (reply: string) => void>();
  #lastReqId = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const decoder = new MessageDecoder((type, reqId, _txId, payload) => {
      const text = payload.toString('latin1').replaceAll('\0', '|');
      this.received.push(type === XsdType.WATCH_EVENT ? text : `${type}:${text}`);
      this.#waiting.get(reqId)?.(type === XsdType.ERROR ? `!${text}` : text);
      this.#waiting.delete(reqId);
    });
    socket.on('data', (chunk: Buffer) => decoder.push(chunk));
    socket.on('error', () => undefined);
  }

  static async connect(path: string): Promise<RawClient> {
    const socket = createConnection({ path });
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  /** Sends `strings`, each with a NUL at its end. Resolves with the reply's payload, with `|` for NUL and `!` before an error. */
  ask(type: number, strings: readonly string[], txId = 0): Promise<string> {
    return this.askRaw(type, strings.map((each) => `${each}\0`).join(''), txId);
  }

  askRaw(type: number, payload: string, txId = 0): Promise<string> {
    const reqId = ++this.#lastReqId;
    this.#socket.write(encodeMessage(type, reqId, txId, payload));
    return new Promise((resolve) => this.#waiting.set(reqId, resolve));
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Resolves when the other side has closed the connection. */
  async ended(): Promise<void> {
    if (!this.#socket.destroyed) await once(this.#socket, 'close');
  }

  /** Returns the messages received since the last call, after all that the daemon had sent before this call have come. */
  async news(): Promise<string[]> {
    await this.ask(XsdType.GET_DOMAIN_PATH, ['0']);
    const before = this.received.splice(0);
    return before.slice(0, -1);
  }

  close(): void {
    this.#socket.destroy();
  }
}
