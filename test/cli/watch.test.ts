/** `watch` from a token, of one VM, and with a command for each change. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { parseUuid } from '../../src/uuid.ts';
import { until } from '../support/until.ts';
import { A, B, LONELY, World } from './world.ts';

jest.setTimeout(60_000);

let world: World;

beforeEach(async () => {
  world = await World.make();
});
afterEach(() => world.close());

interface Line {
  readonly kind: string;
  readonly domid: number;
  readonly token?: string;
}

const jsonLines = (text: string): Line[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);

const short = ({ kind, domid }: Line): string => `${kind} ${domid}`;

async function tokenOfList(): Promise<string> {
  await world.run('list', '--json');
  return (JSON.parse(world.output.out) as { token: string }).token;
}

/** Runs `watch` until `is` so. */
async function watched(argv: readonly string[], is: () => boolean): Promise<number> {
  const ended = world.run('watch', ...argv);
  await until(is, { what: `${is.toString()}: ${JSON.stringify(world.output)}` });
  world.interrupt.abort();
  return ended;
}

describe('--since', () => {
  it('continues from the token of a list, and from that of a line', async () => {
    const token = await tokenOfList();
    world.host.destroy(1);
    world.host.shutdown(2, 0);
    await watched(['--json', '--since', token], () => jsonLines(world.output.out).length === 2);
    const lines = jsonLines(world.output.out);
    expect(lines.map(short)).toEqual(['destroyed 1', 'shutdown 2']);
    world.interrupt = new AbortController();
    world.host.destroy(3);
    const last = lines.at(-1)?.token ?? '';
    await watched(['--json', '--since', last], () => world.output.out !== '');
    expect(jsonLines(world.output.out).map(short)).toEqual(['destroyed 3']);
  });

  it('says that changes are missing, where the service has restarted', async () => {
    const token = await tokenOfList();
    await world.stopService();
    world.host.destroy(1);
    await world.startService();
    expect(await world.run('watch', '--since', token)).toBe(4);
    expect(world.output.out).toBe('');
    expect(world.output.err).toContain(`no longer has all changes since ${token}: list all`);
  });

  it('survives a later restart, and prints only what changed since', async () => {
    const token = await tokenOfList();
    const ended = world.run('watch', '--json', '--since', token);
    await until(() => world.output.err.includes(`watching 5 domains, from ${token} on`));
    // A change, so that the subscription has begun.
    world.host.destroy(1);
    await until(() => world.output.out !== '');
    await world.stopService();
    world.host.destroy(2);
    await until(() => world.output.err.includes('Reconnecting'));
    await world.startService();
    await until(() => jsonLines(world.output.out).length > 1);
    expect(jsonLines(world.output.out).map(short)).toEqual(['destroyed 1', 'destroyed 2']);
    world.interrupt.abort();
    expect(await ended).toBe(0);
  });

  it.each(['0123456789abcdef:', 'x:1', '1', '0123456789abcdef:1\n'])(
    'rejects %j with an example',
    async (token) => {
      expect(await world.run('watch', '--since', token)).toBe(2);
      expect(world.output.err).toContain('for example --since 1f0c9a7be2d4f681:17');
    },
  );
});

it('says at a terminal how to go on from there', async () => {
  world.terminal = true;
  const token = await tokenOfJson();
  await watched([], () => world.output.err.includes('watching'));
  expect(world.output.err).toContain(
    `for the changes from here on: xen-domid watch --since ${token}`,
  );
});

async function tokenOfJson(): Promise<string> {
  world.terminal = false;
  const token = await tokenOfList();
  world.terminal = true;
  return token;
}

it.each([
  [60, /^\d\d:\d\d:\d\d destroyed 3 a0000000-\S{27}$/],
  [80, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} destroyed {5}3 a0000000-\S{27}$/],
])('prints lines that fit a terminal of %d columns', async (columns, shape) => {
  world.terminal = true;
  world.columns = columns;
  const ended = world.run('watch');
  await until(() => world.output.err.includes('watching'));
  world.host.destroy(3);
  await until(() => world.output.out !== '');
  world.interrupt.abort();
  await ended;
  expect(world.output.out.trimEnd()).toMatch(shape);
  expect(world.output.out.trimEnd().length).toBeLessThanOrEqual(columns);
});

describe('--uuid', () => {
  it('prints only the changes of this VM, also under its next domid', async () => {
    const ended = world.run('watch', '--json', '--uuid', `{${A.toUpperCase()}}`);
    await until(() => world.output.err.includes('watching'));
    world.host.destroy(3);
    world.host.shutdown(2, 0);
    world.host.destroy(1);
    world.host.createDomain({ uuid: parseUuid(A), domid: 20 });
    await until(() => jsonLines(world.output.out).length >= 2);
    world.interrupt.abort();
    await ended;
    expect(jsonLines(world.output.out).map(short)).toEqual(['destroyed 1', 'created 20']);
  });

  it('takes a prefix at a terminal', async () => {
    world.terminal = true;
    const ended = world.run('watch', '--json', '--uuid', LONELY.slice(0, 4));
    await until(() => world.output.err.includes('watching'));
    world.host.destroy(1);
    world.host.destroy(3);
    await until(() => world.output.out !== '');
    world.interrupt.abort();
    await ended;
    expect(jsonLines(world.output.out).map(short)).toEqual(['destroyed 3']);
    expect(await world.run('watch', '--uuid', 'dddd')).toBe(1);
  });
});

describe('--exec', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'watch-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const written = (): string => {
    try {
      return readFileSync(join(folder, 'log'), 'utf8');
    } catch {
      return '';
    }
  };

  it('runs the command for each change, one at a time, with its JSON on standard input', async () => {
    const token = await tokenOfList();
    for (const domid of [1, 2, 3, 5]) world.host.destroy(domid);
    const command = `echo begin >>${folder}/log; cat >>${folder}/log; sleep 0.1; echo end >>${folder}/log`;
    const is = (): boolean => (written().match(/^end$/gm) ?? []).length === 4;
    expect(await watched(['--since', token, '--exec', command], is)).toBe(0);
    const lines = written().trimEnd().split('\n');
    const objects = lines.filter((line) => line.startsWith('{')).join('\n');
    expect(jsonLines(objects).map(short)).toEqual(
      [1, 2, 3, 5].map((domid) => `destroyed ${domid}`),
    );
    expect(lines.map((line) => line[0]).join('')).toBe('b{e'.repeat(4));
    expect(world.output.out).toBe('');
  });

  it('reports a command that fails, and goes on', async () => {
    const token = await tokenOfList();
    world.host.destroy(1);
    world.host.destroy(2);
    const command = `grep -q '"domid":1,' && exit 7; echo done >>${folder}/log`;
    await watched(['--since', token, '--exec', command], () => written() !== '');
    expect(world.output.err).toContain('--exec: status 7, for domain 1 destroyed\n');
    expect(world.output.err).not.toContain('domain 2');
  });

  it('ends the running command when it is interrupted, and runs no other', async () => {
    const token = await tokenOfList();
    world.host.destroy(1);
    world.host.destroy(2);
    const command = `echo begin >>${folder}/log; exec sleep 1000`;
    expect(await watched(['--since', token, '--exec', command], () => written() !== '')).toBe(0);
    expect(written()).toBe('begin\n');
  });

  it('never puts text of a change into the command', async () => {
    const ended = world.run('watch', '--exec', `cat >>${folder}/log`, '--uuid', B);
    await until(() => world.output.err.includes('watching'));
    world.host.destroy(2);
    await until(() => written() !== '');
    world.interrupt.abort();
    await ended;
    expect(jsonLines(written())).toMatchObject([{ kind: 'destroyed', domid: 2, uuid: B }]);
  });
});
