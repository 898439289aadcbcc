/** Other users of the machine, who must be kept out, and two daemons that start at the same moment. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cannot } from '../lab/cannot.ts';
import { Client, openRoom, temporaryDirectory } from '../support/daemon-room.ts';

const BIN = join(import.meta.dirname, '../../src/cli/bin.cjs');
const USER = 12_345;
const GROUP = 23_456;
const OTHER_GROUP = 34_567;

/** For `node -e`: connects as another user and prints `answered` or the error's code. */
const ASK = `
  const [uid, gid, groups, path] = process.argv.slice(1);
  process.setgroups(groups === '' ? [] : [Number(groups)]);
  process.setgid(Number(gid));
  process.setuid(Number(uid));
  require('node:net')
    .connect(path)
    .on('connect', function () { this.write('{"jsonrpc":"2.0","id":1,"method":"version"}\\n'); })
    .on('data', function () { console.log('answered'); this.destroy(); })
    .on('error', ({ code }) => console.log(code));`;

const onlyRoot = cannot(process.getuid?.() !== 0 && 'only root can be another user');

/** Connects as a user of these groups to a socket of `group`. @returns `answered` or the error's code. */
async function answer(
  group: number | undefined,
  { gid, groups = '' }: { gid: number; groups?: number | '' },
): Promise<string> {
  const room = await openRoom(group === undefined ? {} : { group: `${group}` });
  // The directories are open to everyone, so that only the mode of the socket can refuse.
  chmodSync(dirname(dirname(room.path)), 0o755);
  try {
    const child = spawn(
      process.execPath,
      ['-e', ASK, `${USER}`, `${gid}`, `${groups}`, room.path],
      { stdio: ['ignore', 'pipe', 'inherit'], env: {} },
    );
    const [said] = (await once(child.stdout, 'data')) as [Buffer];
    return said.toString().trim();
  } finally {
    await room.close();
  }
}

describe('a user who is not root', () => {
  onlyRoot('cannot connect', async () => {
    expect(await answer(undefined, { gid: GROUP })).toBe('EACCES');
    expect(await answer(GROUP, { gid: OTHER_GROUP })).toBe('EACCES');
    expect(await answer(GROUP, { gid: OTHER_GROUP, groups: OTHER_GROUP })).toBe('EACCES');
  });

  onlyRoot('can as a member of the group that --group names', async () => {
    expect(await answer(GROUP, { gid: GROUP })).toBe('answered');
    expect(await answer(GROUP, { gid: OTHER_GROUP, groups: GROUP })).toBe('answered');
  });
});

describe('of two daemons that are started at the same moment', () => {
  /** Few, because each takes a second. */
  const times = Number(process.env['XEN_DOMID_STARTS'] ?? 25);
  const directory = temporaryDirectory();
  const children: ChildProcess[] = [];

  afterEach(() => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  });

  /** Returns once it listens or has ended. */
  const start = async (path: string): Promise<{ child: ChildProcess; said: string }> => {
    const child = spawn(process.execPath, [BIN, 'serve', '--simulate', '1', '--socket', path], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {},
    });
    children.push(child);
    let said = '';
    await new Promise<void>((resolve) => {
      child.once('close', () => resolve());
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        said += text;
        if (said.includes('SIMULATED')) resolve();
      });
    });
    return { child, said };
  };

  it(
    `one serves and the other says why it does not, ${times} times`,
    async () => {
      const path = join(directory, 'run', 'socket');
      for (let n = 0; n < times; n++) {
        // oxlint-disable no-await-in-loop -- again and again
        const both = await Promise.all([start(path), start(path)]);
        const became = both.map(({ child }) => `${child.exitCode ?? 'serves'}`);
        expect(became.toSorted()).toEqual(['4', 'serves']);
        const refused = both[became.indexOf('4')];
        expect(refused?.said).toMatch(/a daemon is listening on .* already|holds .*\.lock/);
        const client = await Client.connect(path);
        expect((await client.call('version')).result).toMatchObject({ simulated: true });
        client.close();
        // Every second daemon leaves its socket behind.
        const serving = both.find((one) => one !== refused)?.child as ChildProcess;
        serving.kill(n % 2 === 0 ? 'SIGKILL' : 'SIGTERM');
        await once(serving, 'close');
        // oxlint-enable no-await-in-loop
      }
    },
    times * 10_000,
  );
});
