/** Asks by clients that others wrote, a different one each time. */
import { createConnection } from 'node:net';
import { Agent as HttpAgent } from 'node:http';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import axios from 'axios';
import jayson from 'jayson/promise/index.js';
import { JSONRPCClient, type JSONRPCResponse } from 'json-rpc-2.0';
import { Agent, request } from 'undici';
import { Violation } from '../oracle/violation.ts';
import { anyQuestion, type Question } from './questions.ts';
import type { Reply } from './reply-judge.ts';
import type { Client, ClientOptions } from './scene.ts';

type Ask = (path: string, question: Question) => Promise<Reply>;

const messageOf = ({ method, params }: Question): object => ({
  jsonrpc: '2.0',
  id: 1,
  method,
  params,
});

const byAxios: Ask = async (socketPath, question) => {
  const httpAgent = new HttpAgent();
  const { data } = await axios.post<Reply>('http://localhost/', messageOf(question), {
    socketPath,
    httpAgent,
    headers: { 'Content-Type': 'application/json' },
  });
  return data;
};

const byUndici: Ask = async (socketPath, question) => {
  const dispatcher = new Agent({ connect: { socketPath } });
  try {
    const { body } = await request('http://localhost/', {
      dispatcher,
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(messageOf(question)),
    });
    return (await body.json()) as Reply;
  } finally {
    await dispatcher.destroy();
  }
};

const byJaysonLines: Ask = async (path, { method, params }) =>
  (await jayson.Client.tcp({ path } as never).request(method, params)) as Reply;

const byJaysonHttp: Ask = async (socketPath, { method, params }) => {
  const options = { socketPath, path: '/', agent: new HttpAgent() };
  return (await jayson.Client.http(options).request(method, params)) as Reply;
};

const byJsonRpc2: Ask = async (path, question) => {
  const socket = createConnection(path);
  const client = new JSONRPCClient((message) => void socket.write(`${JSON.stringify(message)}\n`));
  createInterface(socket)
    .on('line', (line) => client.receive(JSON.parse(line) as JSONRPCResponse))
    // It emits the errors of its input once more.
    .on('error', () => undefined);
  const lost = new Promise<never>((_, reject) => {
    socket.on('error', reject).on('close', () => reject(new Error('the connection has ended')));
  });
  try {
    return (await Promise.race([
      client.requestAdvanced(messageOf(question) as never),
      lost,
    ])) as Reply;
  } finally {
    socket.destroy();
  }
};

const WAYS: readonly Ask[] = [byAxios, byUndici, byJaysonLines, byJaysonHttp, byJsonRpc2];

export class ForeignAsker implements Client {
  readonly #options: ClientOptions;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  async turn(): Promise<void> {
    const { scene, random } = this.#options;
    const { judge, path } = scene;
    const question = anyQuestion(this.#options);
    const asked = judge.asks();
    try {
      question.judge(judge, asked, await random.pick(WAYS)(path, question));
    } catch (error) {
      // An attacker has filled the queue of the socket: the system tells clients to try again.
      const isFull = String(error).includes('EAGAIN');
      if (error instanceof Violation || !(isFull || judge.hasEndedSince(asked))) throw error;
      await sleep(20);
    } finally {
      judge.settle(asked);
    }
  }

  async close(): Promise<void> {
    // Each turn closes its connection.
    await Promise.resolve();
  }
}
