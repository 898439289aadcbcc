/** A headless Chromium, driven over the DevTools protocol, and the way of `ssh -L` to the socket. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { until } from './until.ts';

// oxlint-disable-next-line typescript/no-explicit-any -- any JSON
type Message = any;

const START_MS = 60_000;

export const hasChromium: boolean = spawnSync('chromium', ['--version']).error === undefined;

interface Call {
  readonly resolve: (result: Message) => void;
  readonly reject: (error: Error) => void;
}

export class Chromium {
  readonly #child: ChildProcess;
  readonly #directory: string;
  readonly #calls = new Map<number, Call>();
  readonly #tabs = new Map<string, (method: string, params: Message) => void>();
  #lastId = 0;
  #text = '';

  private constructor(directory: string) {
    this.#directory = directory;
    this.#child = spawn(
      'chromium',
      [
        '--headless',
        // It runs as root, in a container, and shows only pages of this project.
        '--no-sandbox',
        '--disable-gpu',
        '--disable-dev-shm-usage',
        '--disable-extensions',
        '--disable-background-networking',
        '--disable-component-update',
        '--no-first-run',
        // Every name is resolved to the loopback: nothing leaves this machine.
        '--host-resolver-rules=MAP * 127.0.0.1',
        `--user-data-dir=${directory}`,
        '--remote-debugging-pipe',
        'about:blank',
      ],
      { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] },
    );
    const answers = this.#child.stdio[4] as Readable;
    answers.setEncoding('utf8').on('data', (text: string) => this.#read(text));
    this.#child.stdio[3]?.on('error', () => undefined);
    this.#child.once('exit', () => {
      for (const { reject } of this.#calls.values()) reject(new Error('Chromium has ended'));
    });
  }

  static async start(): Promise<Chromium> {
    const chromium = new Chromium(mkdtempSync(join(tmpdir(), 'chromium-')));
    const timer = setTimeout(() => chromium.#child.kill('SIGKILL'), START_MS);
    await chromium.send('Browser.getVersion');
    clearTimeout(timer);
    return chromium;
  }

  /** @param session of a tab; undefined for the browser. */
  send(method: string, params: object = {}, session?: string): Promise<Message> {
    const id = ++this.#lastId;
    const message = { id, method, params, ...(session !== undefined && { sessionId: session }) };
    (this.#child.stdio[3] as Writable).write(`${JSON.stringify(message)}\0`);
    return new Promise((resolve, reject) => this.#calls.set(id, { resolve, reject }));
  }

  /** Opens an empty tab. */
  async tab(): Promise<Tab> {
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    const tab = new Tab((method, params) => this.send(method, params, sessionId), targetId);
    this.#tabs.set(sessionId, (method, params) => tab.notice(method, params));
    for (const domain of ['Page', 'Runtime', 'Log', 'Network', 'Audits'])
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await this.send(`${domain}.enable`, {}, sessionId);
    return tab;
  }

  async close(): Promise<void> {
    const ended = once(this.#child, 'exit');
    if (this.#child.exitCode === null) {
      void this.send('Browser.close').catch(() => undefined);
      const timer = setTimeout(() => this.#child.kill('SIGKILL'), START_MS);
      await ended;
      clearTimeout(timer);
    }
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 5 });
  }

  #read(text: string): void {
    const messages = (this.#text + text).split('\0');
    this.#text = messages.pop() ?? '';
    for (const json of messages) {
      const { id, result, error, method, params, sessionId } = JSON.parse(json);
      if (id === undefined) {
        this.#tabs.get(sessionId)?.(method, params);
        continue;
      }
      const call = this.#calls.get(id);
      this.#calls.delete(id);
      if (error === undefined) call?.resolve(result);
      else call?.reject(new Error(error.message));
    }
  }
}

export interface Look {
  readonly width?: number;
  readonly height?: number;
  readonly scheme?: 'dark' | 'light';
}

export class Tab {
  /** Errors of scripts, lines of the console, and violations of the content security policy. */
  readonly complaints: string[] = [];
  /** URLs of all requests. */
  readonly requests: string[] = [];
  readonly #send: (method: string, params?: object) => Promise<Message>;
  readonly #target: string;

  constructor(send: (method: string, params?: object) => Promise<Message>, target: string) {
    this.#send = send;
    this.#target = target;
  }

  notice(method: string, params: Message): void {
    if (method === 'Network.requestWillBeSent') this.requests.push(params.request.url);
    if (method === 'Runtime.exceptionThrown')
      this.complaints.push(params.exceptionDetails.exception?.description ?? 'an exception');
    if (method === 'Runtime.consoleAPICalled')
      this.complaints.push(JSON.stringify(params.args.map(({ value }: Message) => value)));
    if (method === 'Log.entryAdded') this.complaints.push(params.entry.text);
    if (method === 'Audits.issueAdded') this.complaints.push(JSON.stringify(params.issue));
  }

  async look({ width = 1280, height = 800, scheme = 'light' }: Look): Promise<void> {
    const size = { width, height, deviceScaleFactor: 1, mobile: width < 600 };
    await this.#send('Emulation.setDeviceMetricsOverride', size);
    const features = [{ name: 'prefers-color-scheme', value: scheme }];
    await this.#send('Emulation.setEmulatedMedia', { features });
  }

  async open(url: string): Promise<void> {
    await this.#send('Page.navigate', { url });
  }

  /** Evaluates an expression, and waits for it if it is a promise. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.#send('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails !== undefined)
      throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value as T;
  }

  /** Waits until an expression is true. */
  async until(expression: string): Promise<void> {
    const holds = (): Promise<boolean> => this.evaluate<boolean>(expression).catch(() => false);
    await until(holds, { what: expression }).catch(async (error: unknown) => {
      const text = await this.evaluate('document.body.innerText');
      throw new Error(`${String(error)}; the page has: ${String(text)}`);
    });
  }

  async screenshot(path: string): Promise<void> {
    const { data } = await this.#send('Page.captureScreenshot', { format: 'png' });
    await writeFile(path, Buffer.from(data, 'base64'));
  }

  async close(): Promise<void> {
    await this.#send('Target.closeTarget', { targetId: this.#target }).catch(() => undefined);
  }
}

/** Forwards a port of the loopback to the socket, as `ssh -L` does: while the service is away, connections end at once. */
export class Forward {
  readonly port: number;
  readonly #close: () => Promise<void>;

  private constructor(port: number, close: () => Promise<void>) {
    this.port = port;
    this.#close = close;
  }

  static async to(path: string): Promise<Forward> {
    const sockets = new Set<Socket>();
    const server = createServer({ allowHalfOpen: true }, (browser) => {
      const service = createConnection({ path, allowHalfOpen: true });
      browser.pipe(service).pipe(browser);
      for (const [one, other] of [
        [browser, service],
        [service, browser],
      ] as const) {
        sockets.add(one);
        one.on('error', () => other.destroy());
        one.on('close', () => {
          sockets.delete(one);
          other.destroySoon();
        });
      }
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Forward((server.address() as AddressInfo).port, async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    });
  }

  close(): Promise<void> {
    return this.#close();
  }
}
