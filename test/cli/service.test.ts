import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseUuid } from '../../src/uuid.ts';
import type { ListedDomain } from '../../src/results.ts';
import { formatTable } from '../../src/cli/terminal/table.ts';
import { domainOf } from '../support/client-peer.ts';
import { A, B, LONELY, TWICE, UNKNOWN, World } from './world.ts';

/** Characters of a UUID. */
const UUID_LENGTH = 36;

let world: World;

beforeEach(async () => {
  world = await World.make();
});

afterEach(() => world.close());

async function until(is: () => boolean): Promise<void> {
  const endMs = performance.now() + 5000;
  while (!is()) {
    if (performance.now() > endMs) throw new Error(`not so after 5 s: ${is.toString()}`);
    // oxlint-disable-next-line no-await-in-loop -- until it is so
    await sleep(5);
  }
}

describe('lookup', () => {
  it('prints the domid alone for one UUID, in either letter case', async () => {
    expect(await world.run('lookup', A.toUpperCase())).toBe(0);
    expect(world.output).toEqual({ out: '1\n', err: '' });
  });

  it.each([A.replaceAll('-', ''), `{${A}}`, `urn:uuid:${A}`, `URN:UUID:{${A.toUpperCase()}}`])(
    'takes a UUID as other programs write it: %s',
    async (text) => {
      expect(await world.run('lookup', text)).toBe(0);
      expect(world.output.out).toBe('1\n');
      world.input = [`${text}\n`];
      expect(await world.run('lookup', '-')).toBe(0);
      expect(world.output.out).toBe(`${A} 1\n`);
    },
  );

  it('prints a line each for several, and exits with the highest status', async () => {
    expect(await world.run('lookup', B, UNKNOWN, A)).toBe(1);
    expect(world.output.out).toBe(`${B} 2\n${A} 1\n`);
    expect(await world.run('lookup', UNKNOWN, TWICE, A)).toBe(3);
    expect(world.output.err).toContain(`${TWICE}: domids 5, 9`);
  });

  it('prints JSON', async () => {
    expect(await world.run('lookup', A, UNKNOWN, TWICE, '--json')).toBe(3);
    const lines = world.output.out.trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { uuid: A, status: 'found', domain: { domid: 1 } },
      { uuid: UNKNOWN, status: 'notFound' },
      { uuid: TWICE, status: 'ambiguous', domains: [{ domid: 5 }, { domid: 9 }] },
    ]);
  });

  it.each([
    ['00000000-0000-0000-0000-000000000000', 'nil UUID'],
    ['deadbeef-dead-beef-dead-beef00000001', 'tombstone'],
  ])(
    'exits 2 for %s, which names no VM, and says why, whether there is a service or not',
    async (uuid, what) => {
      expect(await world.run('lookup', uuid)).toBe(2);
      await world.stopService();
      expect(await world.run('lookup', uuid)).toBe(2);
      expect(world.output.err).toMatch(new RegExp(`^xen-domid: ${uuid} names no VM: .*${what}`));
    },
  );

  it('ends an error with its code, by which it is searched for', async () => {
    expect(await world.run('lookup', 'abc')).toBe(2);
    expect(world.output.err).toMatch(/^xen-domid: "abc" is not .* \[ERR_INVALID_UUID\]\nTry: /);
    await world.stopService();
    expect(await world.run('stats')).toBe(4);
    expect(world.output.err).toMatch(/ \[ERR_SERVICE_UNREACHABLE\]\n$/);
  });

  it('exits 4 without a service, and says how to get an answer', async () => {
    await world.stopService();
    expect(await world.run('lookup', A)).toBe(4);
    expect(world.output.err).toMatch(/no service answers at .*ENOENT.*serve.*--direct/);
    expect(await world.run('lookup', A, '--json')).toBe(4);
    expect(JSON.parse(world.output.err)).toMatchObject({
      error: { code: 'ERR_SERVICE_UNREACHABLE' },
    });
  });

  describe('of standard input', () => {
    it('answers 10,000 UUIDs in order, however they are cut', async () => {
      const asked = Array.from({ length: 10_000 }, (_, n) => (n % 2 === 0 ? A : B));
      const text = `${asked.join('\n')}\n`;
      for (let from = 0; from < text.length; from += 1001) {
        world.input.push(text.slice(from, from + 1001));
      }
      expect(await world.run('lookup', '-')).toBe(0);
      const domids = asked.map((uuid) => `${uuid} ${uuid === A ? 1 : 2}\n`);
      expect(world.output.out).toBe(domids.join(''));
    });

    it('tells of lines that are none, takes blank ones, spaces and a last one without an end', async () => {
      world.input = [`${A}\r\n\n  ${B} \nnonsense\u001b[2J\n${'x'.repeat(100_000)}\n`, A];
      expect(await world.run('lookup', '-', LONELY)).toBe(2);
      expect(world.output.out).toBe(`${LONELY} 3\n${A} 1\n${B} 2\n${A} 1\n`);
      expect(world.output.err).toMatch(
        /line 4: "nonsense\?\[2J" is not a UUID.* \[ERR_INVALID_UUID\]\n/,
      );
      expect(world.output.err).toContain('line 5');
      expect(world.output.err.length).toBeLessThan(1000);
    });

    it('ends at once with status 4 where the service does', async () => {
      await world.stopService();
      world.input = [`${A}\n`];
      expect(await world.run('lookup', '-')).toBe(4);
      expect(world.output.err.match(/no service answers/g)).toHaveLength(1);
    });
  });

  describe('of a prefix', () => {
    it('is for people at a terminal alone', async () => {
      expect(await world.run('lookup', LONELY.slice(0, 8))).toBe(2);
      expect(world.output.err).toContain('is not a UUID');
      world.terminal = true;
      expect(await world.run('lookup', LONELY.slice(0, 8).toUpperCase())).toBe(0);
      expect(world.output.out).toBe('3\n');
      expect(await world.run('lookup', LONELY.slice(0, 20))).toBe(0);
      world.inputRedirected = true;
      expect(await world.run('lookup', LONELY.slice(0, 20))).toBe(2);
    });

    it.each([
      LONELY.slice(0, 4),
      LONELY.slice(0, 12).replaceAll('-', ''),
      LONELY.slice(0, 9),
      LONELY.slice(0, 35),
      `{${LONELY.slice(0, 20)}}`,
      `urn:uuid:${LONELY.slice(0, 30)}`,
    ])('is %p', async (prefix) => {
      world.terminal = true;
      expect(await world.run('lookup', prefix)).toBe(0);
      expect(world.output.out).toBe('3\n');
    });

    it.each(['', 'a0000000x', 'a0000-0000', 'a0000000-0b7c4', `${LONELY}1`, 'web-1'])(
      'is not %p, and the error says how to find a UUID',
      async (prefix) => {
        world.terminal = true;
        expect(await world.run('lookup', prefix)).toBe(2);
        expect(world.output.err).toContain(
          `"${prefix}" is not a UUID: expected 32 hex digits as 8-4-4-4-12, for example 6d4f`,
        );
        expect(world.output.err).toContain('"xen-domid list" shows the UUIDs of all domains');
      },
    );

    it('of fewer than four digits is rejected, with an example', async () => {
      world.terminal = true;
      expect(await world.run('lookup', 'a00')).toBe(2);
      expect(world.output.err).toContain('type 4 digits or more, for example 6d4f');
    });

    it('is one of several operands', async () => {
      world.terminal = true;
      expect(await world.run('lookup', LONELY.slice(0, 8), A, '6d4f')).toBe(3);
      expect(await world.run('lookup', LONELY.slice(0, 8), A, 'dddd')).toBe(1);
      expect(world.output.err).toContain('no domain has a UUID that begins with dddd; "xen-domid');
      expect(await world.run('lookup', LONELY.slice(0, 8), A)).toBe(0);
      expect(world.output.out).toBe(`${LONELY} 3\n${A} 1\n`);
    });

    it('lists those that it may mean, and picks none', async () => {
      world.terminal = true;
      expect(await world.run('lookup', A.slice(0, 8))).toBe(3);
      expect(world.output.out).toBe('');
      expect(world.output.err).toContain(`${A} 1\n${B} 2\n`);
    });

    it('of one UUID that two domains have is ambiguous', async () => {
      world.terminal = true;
      expect(await world.run('lookup', TWICE.slice(0, 13))).toBe(3);
      expect(world.output.err).toContain('domids 5, 9');
    });

    it('never names a domain that has no UUID', async () => {
      world.terminal = true;
      expect(await world.run('lookup', '00000000')).toBe(1);
    });
  });
});

describe('list', () => {
  it('prints the columns of xl in ascending domid, as wide as their contents, in a pipe', async () => {
    expect(await world.run('list')).toBe(0);
    const [head, dom0, ...vms] = world.output.out.trimEnd().split('\n');
    expect(head).toBe(
      `Name ID Mem VCPUs  State Time(s) UUID${' '.repeat(UUID_LENGTH - 'UUID'.length)} Reason`,
    );
    expect(dom0).toMatch(/^- +0 /);
    expect(vms.map((line) => Number(line.split(/ +/)[1]))).toEqual([1, 2, 3, 5, 9]);
    expect(world.output.out).not.toContain('\u001b');
  });

  it.each([200, 120, 100, 80, 60, 50, 42, 39])(
    'fits a terminal of %d columns with whole domids and UUIDs',
    async (columns) => {
      world.terminal = true;
      world.columns = columns;
      world.environment = { NO_COLOR: '1' };
      await world.run('list');
      const lines = world.output.out.trimEnd().split('\n');
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns);
      expect(lines[2]).toMatch(new RegExp(`\\b1 .*${A}`));
    },
  );

  it.each([
    [92, 'Name ID Mem VCPUs State Time(s) UUID Reason', 'a-name-of-20-letters'],
    [80, 'Name ID Mem VCPUs State Time(s) UUID Reason', 'a-name-…'],
    [79, 'Name ID Mem VCPUs State Time(s) UUID', 'a-name-of-20-…'],
    [61, 'Name ID Mem State UUID', 'a-name-of…'],
    [41, 'ID UUID', ''],
    [39, 'ID UUID', ''],
    [36, 'UUID', ''],
    [20, 'UUID', ''],
  ])('in %d columns shows %s', (columns, heads, name) => {
    const named = { ...domainOf(7, A), name: 'a-name-of-20-letters' } as unknown as ListedDomain;
    const [head = '', line = ''] = formatTable([named], { columns, colour: false }).split('\n');
    expect(head.trim().split(/ +/).join(' ')).toBe(heads);
    expect(line).toContain(name);
    expect(line).toContain(A);
  });

  it('has colours on a terminal alone, and never with NO_COLOR', async () => {
    world.terminal = true;
    expect(await world.run('list')).toBe(0);
    expect(world.output.out).toContain('\u001b[1m');
    world.environment = { NO_COLOR: '1' };
    await world.run('list');
    expect(world.output.out).not.toContain('\u001b');
    world.environment = { TERM: 'dumb' };
    await world.run('list');
    expect(world.output.out).not.toContain('\u001b');
  });

  it('sorts as told', async () => {
    await world.run('list', '--sort', 'uuid', '--json');
    const { domains } = JSON.parse(world.output.out) as { domains: { uuid: string }[] };
    const uuids = domains.map(({ uuid }) => uuid);
    expect(uuids).toEqual(uuids.toSorted());
    expect(await world.run('list', '--sort', 'toString')).toBe(2);
  });
});

describe('watch', () => {
  it('prints a line a change, and each once over a restart of the service', async () => {
    const ended = world.run('watch');
    await until(() => world.output.err.includes('watching'));
    const lines = (): string[] =>
      world.output.out.split('\n').flatMap((line) => line.split(/\s+/).slice(2, 5).join(' ') || []);
    world.host.destroy(1);
    await until(() => lines().length === 1);
    await world.stopService();
    world.host.createDomain({ uuid: parseUuid(A), domid: 20 });
    world.host.shutdown(2, 3);
    await until(() => /Reconnecting\.\.\. \[ERR_SERVICE_\w+\]\n/.test(world.output.err));
    await world.startService();
    await until(() => world.output.err.includes('reconnected'));
    await until(() => lines().length >= 3);
    world.host.destroy(3);
    await until(() => lines().length >= 4);
    expect(lines()).toEqual([
      `destroyed 1 ${A}`,
      `shutdown 2 ${B}`,
      `created 20 ${A}`,
      `destroyed 3 ${LONELY}`,
    ]);
    expect(world.output.out).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} /);
    expect(world.output.out).toContain(' crash\n');
    world.interrupt.abort();
    expect(await ended).toBe(0);
  });

  it('prints JSON', async () => {
    const ended = world.run('watch', '--json');
    await until(() => world.output.err.includes('watching'));
    world.host.destroy(1);
    await until(() => world.output.out !== '');
    expect(JSON.parse(world.output.out.split('\n')[0] ?? '')).toMatchObject({
      time: expect.stringMatching(/Z$/) as unknown,
      kind: 'destroyed',
      domid: 1,
      previous: { domid: 1 },
    });
    world.interrupt.abort();
    await ended;
  });

  it('exits 4 where there is no service to begin with', async () => {
    await world.stopService();
    expect(await world.run('watch')).toBe(4);
  });
});
