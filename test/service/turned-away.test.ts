/** Clients for which there is no connection left: each can read the reason, every time, and root still gets in. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync } from 'node:fs';
import { createConnection } from 'node:net';
import { dirname } from 'node:path';
import { text } from 'node:stream/consumers';
import { RpcCode } from '../../src/protocol/rpc.ts';
import { cannot } from '../lab/cannot.ts';
import { Client, openRoom, request, type Room } from '../support/daemon-room.ts';
import { until } from '../support/until.ts';

const TRIES = 20;
const REQUEST = request(1, 'version');
const WHY = 'too many connections are open; try again later';

let room: Room;
let clients: Client[] = [];
afterEach(async () => {
  for (const client of clients) client.close();
  await room.close();
});

async function fill(): Promise<void> {
  room = await openRoom({ bounds: { connections: 4, idleMs: 1e6 } });
  clients = await Promise.all(Array.from({ length: 4 }, () => Client.connect(room.path)));
  await Promise.all(clients.map((client) => client.call('version')));
}

/** Runs a program against the socket. @returns its output. */
async function run(command: string, args: readonly string[], input = ''): Promise<string> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.on('error', () => undefined).end(input);
  return await text(child.stdout);
}

const isThere = (program: string): string | false =>
  spawnSync(program, ['-V']).error !== undefined && `there is no ${program}`;

describe('a client that is turned away reads the reason', () => {
  it('before it has sent anything', async () => {
    await fill();
    const client = await Client.connect(room.path);
    expect(await client.untilEnd()).toEqual([
      { jsonrpc: '2.0', id: null, error: { code: RpcCode.refused, message: WHY } },
    ]);
  });

  it('while it sends requests, and no write fails', async () => {
    await fill();
    for (let n = 0; n < TRIES; n++) {
      const socket = createConnection({ path: room.path });
      const errors: unknown[] = [];
      socket.on('error', (error) => errors.push(error));
      const writing = setInterval(() => socket.writable && socket.write(REQUEST.repeat(10)), 1);
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const answer = await text(socket);
      clearInterval(writing);
      expect(answer).toContain(WHY);
      expect(errors).toEqual([]);
    }
  });

  it('and the service closes the connection, although the client does not', async () => {
    await fill();
    const socket = createConnection({ path: room.path, allowHalfOpen: true });
    let error: NodeJS.ErrnoException | undefined;
    socket.on('error', (cause) => (error = cause)).resume();
    await once(socket, 'end');
    // Its writes fail once the service has closed.
    const writing = setInterval(() => socket.write(REQUEST), 50);
    await until(() => error, { what: 'an error of a write' });
    clearInterval(writing);
    expect(error?.code).toBe('EPIPE');
  });

  cannot(isThere('curl'))('with curl', async () => {
    await fill();
    for (let n = 0; n < TRIES; n++) {
      const args = ['-s', '-w', '%{http_code}', '--unix-socket', room.path, 'http://x/healthz'];
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect(await run('curl', args)).toBe(`${WHY}\n503`);
    }
  });

  cannot(isThere('socat'))('with socat', async () => {
    await fill();
    for (let n = 0; n < TRIES; n++) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect(await run('socat', ['-t', '6', '-', `UNIX:${room.path}`], REQUEST)).toContain(WHY);
    }
  });

  it('also if it is refused later, during a line that is too long', async () => {
    room = await openRoom();
    for (let n = 0; n < TRIES; n++) {
      const socket = createConnection({ path: room.path });
      const errors: unknown[] = [];
      socket.on('error', (error) => errors.push(error));
      for (let chunk = 0; chunk < 20; chunk++) socket.write('x'.repeat(10_000));
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect(await text(socket)).toContain('a line has more than 65536 bytes');
      expect(errors).toEqual([]);
    }
  });
});

const USER = 12_345;
const GROUP = 23_456;

/** For `node -e`: as another user, opens connections and asks by each. Prints each answer, and stays. */
const CROWD = `
  const [uid, gid, count, path] = process.argv.slice(1);
  process.setgroups([]);
  process.setgid(Number(gid));
  process.setuid(Number(uid));
  const next = (left) => left > 0 && require('node:net').connect(path)
    .on('connect', function () { this.write('{"jsonrpc":"2.0","id":1,"method":"version"}\\n'); })
    .once('data', (data) => { console.log(String(data).trim()); next(left - 1); })
    .on('error', ({ code }) => console.log(code));
  next(Number(count));`;

const onlyRoot = cannot(process.getuid?.() !== 0 && 'only root can be another user');

describe('a user who is not root', () => {
  onlyRoot('has at most half of the connections', async () => {
    room = await openRoom({ group: `${GROUP}`, bounds: { connections: 8, idleMs: 1e6 } });
    chmodSync(dirname(dirname(room.path)), 0o755);
    const crowd = spawn(process.execPath, ['-e', CROWD, `${USER}`, `${GROUP}`, '6', room.path], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {},
    });
    const answers: string[] = [];
    crowd.stdout.setEncoding('utf8').on('data', (lines: string) => {
      answers.push(...lines.trimEnd().split('\n'));
    });
    await until(() => answers.length === 6, { what: 'six answers' });
    expect(answers.map((answer) => JSON.parse(answer).error?.message)).toEqual([
      ...Array.from({ length: 4 }, () => undefined),
      ...Array.from(
        { length: 2 },
        () => `user ${USER} has half of the 8 connections: close some, or try again later`,
      ),
    ]);
    // Another user may have the rest but one, which is for root.
    const others = spawn(
      process.execPath,
      ['-e', CROWD, `${USER + 1}`, `${GROUP}`, '4', room.path],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: {},
      },
    );
    answers.length = 0;
    others.stdout.setEncoding('utf8').on('data', (lines: string) => {
      answers.push(...lines.trimEnd().split('\n'));
    });
    await until(() => answers.length === 4, { what: 'four answers' });
    expect(answers.map((answer) => JSON.parse(answer).error?.message)).toEqual([
      ...Array.from({ length: 3 }, () => undefined),
      WHY,
    ]);
    const root = await Client.connect(room.path);
    expect(await root.call('version')).toHaveProperty('result');
    root.close();
    crowd.kill();
    await once(crowd, 'close');
    // The connections are free again.
    const late = spawn(process.execPath, ['-e', CROWD, `${USER}`, `${GROUP}`, '1', room.path], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {},
    });
    const [answer] = (await once(late.stdout, 'data')) as [Buffer];
    expect(JSON.parse(answer.toString())).toHaveProperty('result');
    for (const child of [others, late]) child.kill();
  });
});
