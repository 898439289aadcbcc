/** The way to the page that `docs/operations.md` shows: `ssh -L` to the socket, here with a real ssh and sshd. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect } from '@jest/globals';
import { cannot } from '../lab/cannot.ts';
import { Chromium, hasChromium } from '../support/chromium.ts';
import { ExampleService, NEW } from '../support/example-service.ts';
import { until } from '../support/until.ts';
import { freePort } from '../support/free-port.ts';

const SSHD = '/usr/sbin/sshd';
/** Where an sshd of root looks for its unprivileged half; usually made by its service. */
const SEPARATION = '/run/sshd';
const LOAD_MS = 120_000;
/** For ssh to log in. */
const SSH_MS = 20_000;

const isMissing = (needed: boolean): boolean => process.env['CI'] === undefined && needed;
const isWithoutSsh = spawnSync('ssh', ['-V']).error !== undefined || !existsSync(SSHD);

/** `ssh -N -L PORT:PATH`, to an sshd of its own that it starts by itself, with throw-away keys. */
class SshForward {
  readonly port: number;
  readonly #directory: string;
  readonly #ssh: ChildProcess;
  #complaints = '';

  private constructor(path: string, port: number) {
    this.port = port;
    this.#directory = mkdtempSync(join(tmpdir(), 'ssh-'));
    const at = (name: string): string => join(this.#directory, name);
    for (const key of ['host', 'user'])
      spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', at(key)]);
    copyFileSync(at('user.pub'), at('authorized'));
    writeFileSync(
      at('config'),
      [
        `HostKey ${at('host')}`,
        `AuthorizedKeysFile ${at('authorized')}`,
        'PasswordAuthentication no',
        'PidFile none',
        // The directory for temporary files is writable by all.
        'StrictModes no',
        'UsePAM no',
        '',
      ].join('\n'),
    );
    if (process.getuid?.() === 0) mkdirSync(SEPARATION, { recursive: true, mode: 0o755 });
    this.#ssh = spawn(
      'ssh',
      [
        '-N',
        '-F',
        'none',
        '-i',
        at('user'),
        '-L',
        `${port}:${path}`,
        ...[
          `ProxyCommand=${SSHD} -i -f ${at('config')}`,
          'BatchMode=yes',
          'ExitOnForwardFailure=yes',
          'IdentitiesOnly=yes',
          'StrictHostKeyChecking=no',
          'UserKnownHostsFile=/dev/null',
        ].flatMap((option) => ['-o', option]),
        `${userInfo().username}@dom0.example`,
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    this.#ssh.stderr?.on('data', (text) => (this.#complaints += String(text)));
  }

  static async to(path: string): Promise<SshForward> {
    const forward = new SshForward(path, await freePort());
    try {
      await until(() => forward.#accepts(), { timeoutMs: SSH_MS, what: 'an answer through ssh' });
    } catch (error) {
      await forward.close();
      throw error;
    }
    return forward;
  }

  async get(path: string): Promise<IncomingMessage> {
    const { port } = this;
    // The port that the documentation has. The service cannot know to which port ssh listens.
    const headers = { Host: 'localhost:8080' };
    const options = { host: 'localhost', family: 4, port, path, headers, agent: false };
    const [response] = await once(request(options).end(), 'response');
    return response as IncomingMessage;
  }

  async close(): Promise<void> {
    if (this.#ssh.exitCode === null && this.#ssh.signalCode === null) {
      const ended = once(this.#ssh, 'exit');
      this.#ssh.kill();
      await ended;
    }
    rmSync(this.#directory, { recursive: true });
  }

  /** @throws Error with the complaints of ssh if it has ended. */
  async #accepts(): Promise<boolean> {
    if (this.#ssh.exitCode !== null) throw new Error(`ssh has ended: ${this.#complaints}`);
    return this.get('/healthz').then(
      (response) => response.resume().statusCode === 200,
      () => false,
    );
  }
}

describe('through ssh -L', () => {
  let example: ExampleService;
  let forward: SshForward | undefined;
  let chromium: Chromium | undefined;
  beforeEach(async () => {
    example = await ExampleService.start();
  });
  afterEach(async () => {
    await forward?.close();
    forward = undefined;
    await example.close();
  });
  afterAll(() => chromium?.close());

  const withSsh = cannot(isMissing(isWithoutSsh) && 'there is no sshd');
  const withBoth = cannot(
    (isMissing(isWithoutSsh) && 'there is no sshd') ||
      (isMissing(!hasChromium) && 'there is no chromium'),
  );

  withSsh('the page and its events arrive', async () => {
    forward = await SshForward.to(example.socketPath);
    const page = await forward.get('/');
    let html = '';
    for await (const text of page.setEncoding('utf8')) html += String(text);
    expect(page.statusCode).toBe(200);
    expect(html).toMatch(/^<!doctype html>[^]*<\/html>\s*$/i);
    const events = await forward.get('/events');
    let received = '';
    events.setEncoding('utf8').on('data', (text: string) => (received += text));
    await until(() => received.includes('event: snapshot'));
    example.boot(8, NEW, 'web-2');
    await until(() => received.includes(`"created","domid":8,"uuid":"${NEW}"`));
    events.destroy();
  });

  withBoth(
    'a browser shows the page, and follows the host over a restart of the service',
    async () => {
      forward = await SshForward.to(example.socketPath);
      chromium = await Chromium.start();
      const tab = await chromium.tab();
      await tab.open(`http://localhost:${forward.port}/`);
      await tab.until(`document.body.innerText.includes('web-1')`);
      await example.stopService();
      await tab.until(`document.body.innerText.includes('the last known state')`);
      example.boot(8, NEW, 'web-2');
      await example.startService();
      await tab.until(`document.body.innerText.includes('web-2')`);
      expect(tab.complaints.filter((text) => !text.startsWith('Failed to load'))).toEqual([]);
      await tab.close();
    },
    LOAD_MS,
  );
});
