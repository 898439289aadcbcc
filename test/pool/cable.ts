/** A cable between a bridge and a server that can be slow, be pulled, or stop carrying anything. */
import { once } from 'node:events';
import {
  type AddressInfo,
  createConnection,
  createServer,
  type Server,
  type Socket,
} from 'node:net';
import { Transform } from 'node:stream';

export class Cable {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #isFrozen = false;
  /** How long each piece is on its way, ms. */
  delayMs = 0;

  private constructor(port: number) {
    this.#server = createServer((near) => {
      const far = createConnection({ port, host: '127.0.0.1' });
      const pair = [near, far] as const;
      this.#pairs.add(pair);
      this.#join(near, far);
      if (this.#isFrozen) for (const socket of pair) socket.pause();
      for (const socket of pair) {
        socket.on('error', () => undefined);
        socket.on('close', () => {
          near.destroy();
          far.destroy();
          this.#pairs.delete(pair);
        });
      }
    });
  }

  static async to(url: string): Promise<Cable> {
    const cable = new Cable(Number(new URL(url).port));
    cable.#server.listen(0, '127.0.0.1');
    await once(cable.#server, 'listening');
    return cable;
  }

  get url(): string {
    return `nats://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Nothing arrives any more, and nobody notices. */
  freeze(): void {
    this.#isFrozen = true;
    for (const [near, far] of this.#pairs) {
      near.unpipe().pause();
      far.unpipe().pause();
    }
  }

  /** Delivers all that was sent meanwhile. */
  thaw(): void {
    this.#isFrozen = false;
    for (const [near, far] of this.#pairs) this.#join(near, far);
  }

  /** Ends all connections. New ones are accepted. */
  cut(): void {
    for (const [near, far] of this.#pairs) {
      near.destroy();
      far.destroy();
    }
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #join(near: Socket, far: Socket): void {
    near.pipe(this.#wire()).pipe(far);
    far.pipe(this.#wire()).pipe(near);
  }

  #wire(): Transform {
    return new Transform({
      // One piece at a time: a slow cable carries little, too.
      transform: (piece, _, done) => {
        if (this.delayMs === 0) done(null, piece);
        else setTimeout(() => done(null, piece), this.delayMs);
      },
    });
  }
}
