/** A scripted service on a real socket. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClientOptions, InventoryClient } from '../../src/client/client.ts';

export interface Request {
  readonly id: number;
  readonly method: string;
  readonly params?: Record<string, unknown>;
}

/** Handles each request except `version`, which the peer answers itself. */
export type Script = (request: Request, peer: PeerConnection) => void;

export const VERSION = {
  package: '0.0.0',
  protocol: 1,
  xen: '4.17',
  domctlInterface: 0x14,
  sysctlInterface: 0x14,
};

export class PeerConnection {
  readonly socket: Socket;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  result(id: unknown, result: unknown): void {
    this.line({ jsonrpc: '2.0', id, result });
  }

  error(id: unknown, code: number, message: string, data?: unknown): void {
    this.line({ jsonrpc: '2.0', id, error: { code, message, data } });
  }

  line(message: unknown): void {
    this.socket.write(`${JSON.stringify(message)}\n`);
  }
}

export class Peer {
  readonly path: string;
  /** Chunks, exactly as read. */
  readonly chunks: string[] = [];
  readonly requests: Request[] = [];
  readonly connections: PeerConnection[] = [];
  /** The answer to `version`; undefined for no answer. */
  version: unknown = VERSION;
  script: Script;
  readonly #directory: string;
  #server: Server | undefined;

  private constructor(directory: string, script: Script) {
    this.#directory = directory;
    this.path = join(directory, 'socket');
    this.script = script;
  }

  static async start(script: Script): Promise<Peer> {
    const peer = new Peer(await mkdtemp(join(tmpdir(), 'peer-')), script);
    await peer.listen();
    return peer;
  }

  async listen(): Promise<void> {
    this.#server = createServer((socket) => this.#accept(socket)).listen(this.path);
    await once(this.#server, 'listening');
  }

  /** Closes all connections and accepts no further ones. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const { socket } of this.connections) socket.destroy();
    if (server !== undefined) await new Promise((resolve) => server.close(resolve));
  }

  async close(): Promise<void> {
    await this.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }

  #accept(socket: Socket): void {
    const connection = new PeerConnection(socket);
    this.connections.push(connection);
    let begun = '';
    socket.on('error', () => undefined);
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      this.chunks.push(chunk);
      const lines = (begun + chunk).split('\n');
      begun = lines.pop() ?? '';
      for (const line of lines) this.#take(JSON.parse(line) as Request, connection);
    });
  }

  #take(request: Request, connection: PeerConnection): void {
    if (request.id === 0) {
      if (this.version !== undefined) connection.result(0, this.version);
      return;
    }
    this.requests.push(request);
    this.script(request, connection);
  }
}

const opened: { readonly peer: Peer; readonly client: InventoryClient }[] = [];

/** Starts a peer, and opens a client of it. {@link closeAll} closes both. */
export async function setUp(
  script: Script,
  options: ClientOptions = {},
): Promise<{ peer: Peer; client: InventoryClient }> {
  const peer = await Peer.start(script);
  const pair = { peer, client: new InventoryClient({ socket: peer.path, ...options }) };
  opened.push(pair);
  return pair;
}

/** Closes the clients and peers of {@link setUp}: use it as `afterEach`. */
export async function closeAll(): Promise<void> {
  const pairs = opened.splice(0);
  await Promise.all(pairs.map(({ client }) => client.close()));
  await Promise.all(pairs.map(({ peer }) => peer.close()));
}

export function domainOf(domid: number, uuid: string): Record<string, unknown> {
  return {
    domid,
    uuid,
    dying: false,
    shutdown: false,
    paused: false,
    blocked: true,
    running: false,
    hvm: true,
    vcpus: 1,
    memoryBytes: 2 ** 28,
    maxMemoryBytes: 2 ** 28,
    cpuTimeSeconds: 0.5,
    ssidref: 0,
    cpupool: 0,
  };
}
