/** Behaviours of clients: sequential, pipelined, slow, rude. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../support/random.ts';
import { Violation } from '../oracle/violation.ts';
import { Attacker } from './attacker.ts';
import { EventFollower } from './event-follower.ts';
import { ForeignAsker } from './foreign-asker.ts';
import { HttpAsker } from './http-asker.ts';
import type { Asked, Reply } from './reply-judge.ts';
import { LineClient, Lost } from './line-client.ts';
import { anyQuestion, anyWait, listOf, type Question } from './questions.ts';
import type { Client, ClientOptions, Scene } from './scene.ts';
import { Subscriber } from './subscriber.ts';

/** Keeps one connection, and reconnects after the service has ended. */
class LineAsker implements Client {
  protected readonly options: ClientOptions;
  protected readonly scene: Scene;
  protected readonly random: Random;
  protected client: LineClient | undefined;
  /** State of the judge when it last connected. */
  #connected: Asked | undefined;

  constructor(options: ClientOptions) {
    this.options = options;
    this.scene = options.scene;
    this.random = options.random;
  }

  async turn(): Promise<void> {
    const { judge } = this.scene;
    const asked = judge.asks();
    try {
      await this.act();
    } catch (error) {
      const since = this.#connected ?? asked;
      await this.drop();
      if (!(error instanceof Lost && judge.hasEndedSince(since))) throw error;
      await sleep(20);
    } finally {
      judge.settle(asked);
    }
  }

  close(): Promise<void> {
    return this.drop();
  }

  protected async act(): Promise<void> {
    const client = await this.connected();
    await this.ask(client, anyQuestion(this.options));
  }

  protected async connected(): Promise<LineClient> {
    if (this.client?.lost === true) await this.drop();
    return this.client ?? (await this.connect());
  }

  protected async connect(): Promise<LineClient> {
    const { judge, path } = this.scene;
    this.#connected = judge.asks();
    judge.settle(this.#connected);
    this.client = await LineClient.connect(path);
    return this.client;
  }

  protected async drop(): Promise<void> {
    const { client } = this;
    this.client = undefined;
    this.#connected = undefined;
    await client?.destroy();
  }

  protected async ask(client: LineClient, question: Question): Promise<void> {
    await this.answered(question, client.call(question.method, question.params));
  }

  /** Judges each reply when it arrives, not after all have arrived. */
  protected async answered(question: Question, reply: Promise<Reply>): Promise<void> {
    const { judge } = this.scene;
    const asked = judge.asks();
    try {
      question.judge(judge, asked, await reply);
    } finally {
      judge.settle(asked);
    }
  }

  /** Sends all questions in one write. */
  protected async askAll(
    client: LineClient,
    questions: readonly Question[],
    textOf: (requests: readonly string[]) => string,
  ): Promise<void> {
    const prepared = questions.map((question) => ({
      question,
      ...client.prepare(question.method, question.params),
    }));
    const all = Promise.all(prepared.map(({ question, reply }) => this.answered(question, reply)));
    client.send(textOf(prepared.map(({ text }) => text)));
    await all;
  }

  protected questions(most: number): Question[] {
    const count = 1 + this.random.below(most);
    return Array.from({ length: count }, () => anyQuestion(this.options));
  }
}

const inLines = (requests: readonly string[]): string => `${requests.join('\n')}\n`;

class Pipeliner extends LineAsker {
  protected override async act(): Promise<void> {
    await this.askAll(await this.connected(), this.questions(200), inLines);
  }
}

class Batcher extends LineAsker {
  protected override async act(): Promise<void> {
    await this.askAll(
      await this.connected(),
      this.questions(50),
      (requests) => `[${requests.join()}]\r\n`,
    );
  }
}

/** Asks for more than fits into the buffers ahead of it, and reads it in small portions. */
class SlowReader extends LineAsker {
  protected override async act(): Promise<void> {
    const client = await this.connected();
    const { socket } = client;
    const helpings = setInterval(() => {
      socket.resume();
      setImmediate(() => socket.pause());
    }, 10);
    try {
      const lists = Array.from({ length: 1 + this.random.below(20) }, () => listOf(false));
      await this.askAll(client, [...this.questions(5), ...lists], inLines);
    } finally {
      clearInterval(helpings);
      socket.resume();
    }
  }
}

/** Sends its questions and half-closes: it must receive all replies. */
class HalfCloser extends LineAsker {
  protected override async act(): Promise<void> {
    const client = await this.connect();
    const ends: Promise<void>[] = [];
    const dropsNewline = this.random.chance(0.5);
    await this.askAll(client, this.questions(20), (requests) => {
      queueMicrotask(() => ends.push(client.end()));
      return dropsNewline ? requests.join('\n') : inLines(requests);
    });
    await Promise.all(ends);
    await this.drop();
  }
}

/** Connects and disconnects, often without waiting for the reply. */
class Reconnecter extends LineAsker {
  protected override async act(): Promise<void> {
    const client = await this.connected();
    const question = anyQuestion(this.options);
    if (this.random.chance(0.5)) await this.ask(client, question);
    else client.send(client.prepare(question.method, question.params).text);
    await this.drop();
  }
}

/** Waits for several VMs at once, and leaves some of the waits to the service by disconnecting. */
class Waiter extends LineAsker {
  protected override async act(): Promise<void> {
    const client = await this.connected();
    const waits = Array.from({ length: 1 + this.random.below(20) }, () => anyWait(this.options));
    if (this.random.chance(0.9)) await this.askAll(client, waits, inLines);
    else {
      for (const { method, params } of waits)
        client.send(`${client.prepare(method, params).text}\n`);
      await this.drop();
    }
  }
}

type Rudeness = (random: Random, question: () => string) => string | Uint8Array;

const RUDE: readonly Rudeness[] = [
  (random) => Uint8Array.from({ length: random.below(2000) }, () => random.below(256)),
  (_, question) => question().slice(0, 30),
  (random) => `{"jsonrpc":"2.0","id":1,"method":"${'x'.repeat(random.below(200_000))}`,
  () => `${'['.repeat(50_000)}\n`,
  () => '{"jsonrpc":"2.0","id":1,"method":"lookup","params":{"uuid":"\u001b[2J"}}\n',
  () => '{"jsonrpc":"2.0","id":1,"method":"get","params":{"domid":1e99}}\n',
  () => `[${Array.from({ length: 1500 }, () => '1').join()}]\n`,
  () => '\n\n\r\n\0\n{"id":{}}\n',
  (_, question) => `${question()}\n`.repeat(3000),
  () => 'GET / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n',
  (random) => `POST / HTTP/1.1\r\nHost: x\r\n${'a: b\r\n'.repeat(random.below(3000))}`,
  () => '{"jsonrpc":"2.0","method":"subscribe"}\n'.repeat(20),
  () => '{"jsonrpc":"2.0","id":2,"method":"subscribe","params":{"token":"x:1"}}\n'.repeat(20),
];

/** Sends garbage and disconnects at any time; other clients must not notice. Replies must only be valid JSON or HTTP. */
class Rude extends LineAsker {
  protected override async act(): Promise<void> {
    const client = await this.connected();
    client.onStray = () => undefined;
    const question = (): string => {
      const { method, params } = anyQuestion(this.options);
      return JSON.stringify({ jsonrpc: '2.0', id: 7, method, params });
    };
    const first = this.random.pick(RUDE)(this.random, question);
    // The service replies to HTTP with HTTP, which this client does not parse.
    if (isHttp(first)) client.socket.removeAllListeners('data').resume();
    client.send(first);
    if (this.random.chance(0.5)) client.send(this.random.pick(RUDE)(this.random, question));
    await sleep(this.random.below(60));
    if (this.random.chance(0.3)) client.socket.end();
    if (this.random.chance(0.3)) await sleep(150);
    if (client.failure instanceof Violation) throw client.failure;
    await this.drop();
  }
}

function isHttp(bytes: string | Uint8Array): boolean {
  const first = typeof bytes === 'string' ? bytes.charCodeAt(0) : (bytes[0] ?? 0);
  return first >= 0x41 && first <= 0x5a;
}

interface Temper {
  readonly name: string;
  readonly clients: number;
  make(options: ClientOptions): Client;
}

/** A hundred clients in total. */
export const TEMPERS: readonly Temper[] = [
  { name: 'ask one after the other', clients: 9, make: (options) => new LineAsker(options) },
  { name: 'wait for VMs', clients: 4, make: (options) => new Waiter(options) },
  { name: 'pipeline', clients: 14, make: (options) => new Pipeliner(options) },
  { name: 'send batches', clients: 10, make: (options) => new Batcher(options) },
  { name: 'read slowly', clients: 6, make: (options) => new SlowReader(options) },
  { name: 'half-close', clients: 8, make: (options) => new HalfCloser(options) },
  { name: 'reconnect', clients: 8, make: (options) => new Reconnecter(options) },
  { name: 'are rude', clients: 10, make: (options) => new Rude(options) },
  { name: 'subscribe', clients: 14, make: (options) => new Subscriber(options) },
  { name: 'follow /events', clients: 4, make: (options) => new EventFollower(options) },
  { name: 'speak HTTP', clients: 8, make: (options) => new HttpAsker(options) },
  { name: 'ask by libraries of others', clients: 4, make: (options) => new ForeignAsker(options) },
  { name: 'attack', clients: 1, make: (options) => new Attacker(options) },
];
