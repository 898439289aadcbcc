/** `list UUID...`, and the table that is redrawn in place. */
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { parseUuid } from '../../src/uuid.ts';
import { Terminal } from '../support/terminal.ts';
import { until } from '../support/until.ts';
import { A, B, LONELY, TWICE, UNKNOWN, World } from './world.ts';

const BIN = join(import.meta.dirname, '../../src/cli/bin.cjs');

jest.setTimeout(120_000);

let world: World;

beforeEach(async () => {
  world = await World.make();
});
afterEach(() => world.close());

const uuidsIn = (text: string): string[] => text.match(/\w{8}(-\w{4}){3}-\w{12}/g) ?? [];

describe('list UUID...', () => {
  it('prints only these, with all domains of each', async () => {
    expect(await world.run('list', TWICE, A.replaceAll('-', ''))).toBe(0);
    expect(uuidsIn(world.output.out)).toEqual([A, TWICE, TWICE]);
    expect(await world.run('list', '--json', A)).toBe(0);
    expect(JSON.parse(world.output.out)).toMatchObject({ domains: [{ domid: 1, uuid: A }] });
  });

  it('reports a UUID that no domain has, with status 1', async () => {
    expect(await world.run('list', A, UNKNOWN)).toBe(1);
    expect(uuidsIn(world.output.out)).toEqual([A]);
    expect(world.output.err).toBe(`xen-domid: no domain has the UUID ${UNKNOWN}\n`);
  });

  it('prints the domains with these domids, and those with these UUIDs', async () => {
    expect(await world.run('list', '--domid', '2', '--json')).toBe(0);
    expect(JSON.parse(world.output.out)).toMatchObject({ domains: [{ domid: 2, uuid: B }] });
    expect(await world.run('list', '--domid', '3', A, '--domid=2')).toBe(0);
    expect(uuidsIn(world.output.out)).toEqual([A, B, LONELY]);
  });

  it('reports a domid that no domain has, with status 1', async () => {
    expect(await world.run('list', '--domid', '4', '--domid', '1')).toBe(1);
    expect(uuidsIn(world.output.out)).toEqual([A]);
    expect(world.output.err).toBe('xen-domid: no domain has domid 4\n');
  });

  it.each(['-1', '32752', '1.0', 'web-1'])(
    'takes no domid that cannot exist: %s',
    async (domid) => {
      expect(await world.run('list', `--domid=${domid}`)).toBe(2);
      expect(world.output.err).toContain('--domid needs a whole number from 0 to 32751\n');
    },
  );

  it.each([true, false])(
    'says how to find a domain by its domid: terminal %j',
    async (terminal) => {
      world.terminal = terminal;
      expect(await world.run('list', '2')).toBe(2);
      expect(world.output.err).toContain(
        '"xen-domid list --domid 2" shows the UUID of this domain',
      );
    },
  );

  it('takes a prefix at a terminal, and lists those that it may mean', async () => {
    world.terminal = true;
    expect(await world.run('list', LONELY.slice(0, 4))).toBe(0);
    expect(uuidsIn(world.output.out)).toEqual([LONELY]);
    expect(await world.run('list', A.slice(0, 4))).toBe(3);
    expect(world.output.err).toContain(`${A} 1\n${B} 2\n`);
  });
});

it('a list as JSON has a token, from which changes can be watched', async () => {
  await world.run('list', '--json');
  expect(JSON.parse(world.output.out)).toMatchObject({
    token: expect.stringMatching(/^[\da-f]{16}:\d+$/) as unknown,
  });
});

/** The text of the last drawing, without escape sequences. */
function lastScreen(output: string): string[] {
  const drawn = output.split('\u001b[H').at(-1) ?? '';
  // oxlint-disable-next-line no-control-regex -- escape sequences
  return drawn.replaceAll(/\u001b\[[?\d;]*[A-Za-z]/g, '').split(/\r?\n/);
}

describe('list --watch', () => {
  beforeEach(() => {
    world.terminal = true;
    world.columns = 80;
    world.rows = 24;
    world.environment = { NO_COLOR: '1' };
  });

  it('redraws the table as domains come and go, and ends when interrupted', async () => {
    const ended = world.run('list', '--watch');
    const shown = (): string[] => uuidsIn(lastScreen(world.output.out).join('\n'));
    await until(() => shown().includes(LONELY));
    world.host.destroy(3);
    await until(() => !shown().includes(LONELY));
    world.host.createDomain({ uuid: parseUuid(UNKNOWN), domid: 20 });
    await until(() => shown().includes(UNKNOWN));
    expect(lastScreen(world.output.out).at(-1)).toBe('6 domains, Ctrl-C ends');
    world.interrupt.abort();
    expect(await ended).toBe(0);
    // Cleared once, and then drawn over.
    expect(world.output.out.split('\u001b[2J')).toHaveLength(2);
    expect(world.output.out.lastIndexOf('\u001b[?25h')).toBeGreaterThan(
      world.output.out.lastIndexOf('\u001b[?25l'),
    );
  });

  it('shows only the UUIDs that are asked for, in the order of --sort', async () => {
    const ended = world.run('list', '--watch', '--sort', 'uuid', TWICE, A);
    await until(() => lastScreen(world.output.out).length > 2);
    expect(uuidsIn(lastScreen(world.output.out).join('\n'))).toEqual([A, TWICE, TWICE]);
    world.interrupt.abort();
    await ended;
  });

  it('cuts a table that is higher than the terminal, and draws again when its size changes', async () => {
    world.rows = 6;
    const ended = world.run('list', '--watch');
    await until(() => world.output.out.includes('more'));
    const small = lastScreen(world.output.out);
    expect(small).toHaveLength(6);
    expect(small.slice(3)).toEqual(['... 4 more', '', '6 domains, Ctrl-C ends']);
    world.rows = 20;
    world.columns = 36;
    world.resized();
    const large = lastScreen(world.output.out);
    expect(large[0]).toBe('UUID');
    expect(large).toHaveLength(1 + 6 + 2);
    world.interrupt.abort();
    await ended;
  });

  it('says that the service is gone, keeps the table, and goes on when it is back', async () => {
    const ended = world.run('list', '--watch');
    await until(() => lastScreen(world.output.out).at(-1)?.startsWith('6 domains') === true);
    await world.stopService();
    await until(() => lastScreen(world.output.out).at(-1)?.includes('Reconnecting') === true);
    expect(uuidsIn(lastScreen(world.output.out).join('\n'))).toContain(LONELY);
    world.host.destroy(3);
    await world.startService();
    await until(() => lastScreen(world.output.out).at(-1)?.startsWith('5 domains') === true);
    world.interrupt.abort();
    await ended;
  });

  it('exits 4 where there is no service to begin with', async () => {
    await world.stopService();
    expect(await world.run('list', '--watch')).toBe(4);
    expect(world.output.out).toBe('');
  });

  it.each([
    [60, 15],
    [80, 24],
    [120, 40],
  ])('fits a real terminal of %d columns and %d rows', async (columns, rows) => {
    const env = { XEN_DOMID_SOCKET: world.socket };
    const terminal = new Terminal(`'${process.execPath}' '${BIN}' list --watch`, {
      columns,
      rows,
      env,
    });
    try {
      await terminal.shows(/6 domains, Ctrl-C ends/);
      const screen = lastScreen(terminal.output);
      expect(screen.length).toBeLessThanOrEqual(rows);
      for (const line of screen) expect(line.length).toBeLessThanOrEqual(columns);
      expect(uuidsIn(screen.join('\n'))).toHaveLength(6);
      // Bold: a terminal has colours.
      expect(terminal.output).toContain('\u001b[1m');
      expect(await terminal.interrupt()).toBe(0);
    } finally {
      terminal.kill();
    }
  });
});
