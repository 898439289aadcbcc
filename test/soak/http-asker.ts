/** Asks over HTTP, on kept and on new connections, and reads the pages for monitoring. */
import { Agent, type IncomingMessage, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Violation } from '../oracle/violation.ts';
import type { Reply } from './reply-judge.ts';
import { anyQuestion } from './questions.ts';
import type { Client, ClientOptions } from './scene.ts';

interface Answer {
  readonly status: number;
  readonly body: string;
}

export class HttpAsker implements Client {
  readonly #options: ClientOptions;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  async turn(): Promise<void> {
    const { scene, random } = this.#options;
    const { judge } = scene;
    const asked = judge.asks();
    try {
      const what = random.next();
      if (what < 0.9) await this.#ask();
      else if (what < 0.95) await this.#metrics();
      else await this.#health();
    } catch (error) {
      if (error instanceof Violation || !judge.hasEndedSince(asked)) throw error;
      await sleep(20);
    } finally {
      judge.settle(asked);
    }
  }

  async close(): Promise<void> {
    this.#agent.destroy();
    await Promise.resolve();
  }

  async #ask(): Promise<void> {
    const { judge } = this.#options.scene;
    const question = anyQuestion(this.#options);
    const { method, params } = question;
    const asked = judge.asks();
    try {
      const text = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
      const { status, body } = await this.#fetch('POST', '/', text);
      if (status !== 200) throw new Violation(`HTTP ${status} for ${text}: ${body}`);
      question.judge(judge, asked, JSON.parse(body) as Reply);
    } finally {
      judge.settle(asked);
    }
  }

  async #metrics(): Promise<void> {
    const { status, body } = await this.#fetch('GET', '/metrics');
    if (status !== 200 || !body.includes('# TYPE ')) throw new Violation(`HTTP ${status}: ${body}`);
  }

  async #health(): Promise<void> {
    const { status, body } = await this.#fetch('GET', '/healthz');
    const { hypervisor } = JSON.parse(body) as { hypervisor: boolean };
    if (status !== (hypervisor ? 200 : 503)) throw new Violation(`HTTP ${status}: ${body}`);
  }

  /** Retries once if the service has closed a kept connection, as HTTP allows. */
  async #fetch(method: string, path: string, text?: string): Promise<Answer> {
    const keep = this.#options.random.chance(0.8);
    for (;;) {
      const sent = request({
        method,
        path,
        socketPath: this.#options.scene.path,
        agent: keep ? this.#agent : false,
        ...(text !== undefined && { headers: { 'Content-Type': 'application/json' } }),
      });
      try {
        // oxlint-disable-next-line no-await-in-loop
        return await new Promise<Answer>((resolve, reject) => {
          sent.on('error', reject);
          sent.on('response', (response) => read(response).then(resolve, reject));
          sent.end(text);
        });
      } catch (error) {
        const { code = '' } = error as NodeJS.ErrnoException;
        if (!sent.reusedSocket || !['ECONNRESET', 'EPIPE'].includes(code)) throw error;
      }
    }
  }
}

async function read(response: IncomingMessage): Promise<Answer> {
  let body = '';
  for await (const chunk of response.setEncoding('utf8')) body += String(chunk);
  return { status: response.statusCode ?? 0, body };
}
