/** The screen of the demonstration in all sizes, and the script that starts it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import type { DemoView } from '../../src/cli/demo/figures.ts';
import { lineOf, screenOf } from '../../src/cli/demo/screen.ts';
import type { Change } from '../../src/change.ts';
import { uuidOf } from '../support/vms.ts';

const HOST = {
  name: 'simulated host',
  title: 'xen-domid on a SIMULATED host, where VMs come and go',
  hints: ['npx xen-domid list --socket /tmp/xen-domid-abcdef/socket', 'Ctrl-C ends it.'],
};

const changes = Array.from({ length: 50 }, (_, domid): [number, Change] => [
  0,
  { kind: domid % 2 === 0 ? 'created' : 'destroyed', domid, uuid: uuidOf(domid) } as Change,
]);

const VIEW: DemoView = {
  vms: 50,
  changes,
  lookupsASecond: 8412.4,
  medianMs: 0.25,
  p99Ms: 0.5,
  hypercallsALookup: 1.01,
  copiedALookup: 1.02,
  lists: 17,
  wrong: 0,
  listing: { questions: 1234, medianMs: 2.5, p99Ms: 4, copied: 51 },
};

describe.each([
  [60, 15],
  [80, 24],
  [120, 40],
  [30, 5],
])('the screen in %d columns and %d rows', (columns, rows) => {
  const screen = screenOf(VIEW, HOST, { columns, rows, colour: false });

  it('fits, and uses all rows', () => {
    expect(screen).toHaveLength(rows);
    for (const line of screen) expect(line.length).toBeLessThanOrEqual(columns);
  });

  it('ends with the last changes, where there is room for any', () => {
    if (rows >= 15) expect(screen.at(-1)).toContain(`destroyed    49  ${uuidOf(49)}`);
  });
});

const text = (view: DemoView, colour = false, columns = 80): string =>
  screenOf(view, HOST, { columns, rows: 24, colour }).join('\n');

describe('the screen', () => {
  it('has the cost of a look-up next to that of a list each', () => {
    expect(text(VIEW)).toMatch(/time, median +0\.25 ms +2\.50 ms +10\.0x/);
    expect(text(VIEW)).toMatch(/domains copied +1\.02 +51\.00 +50\.0x/);
    expect(text(VIEW)).toContain('at 1,234 of the questions');
  });

  it('has no figure for listing before one was measured', () => {
    const listing = { questions: 0, medianMs: 0, p99Ms: 0, copied: 0 };
    expect(text({ ...VIEW, listing })).toMatch(/time, median +0\.25 ms +- +-$/m);
  });

  it('has bars where there is room', () => {
    expect(text(VIEW, false, 80)).not.toContain('\u2591');
    expect(text(VIEW, false, 120)).toMatch(/10\.0x {2}\u2588+\u2591+$/m);
  });

  it('has colours where they are wanted', () => {
    expect(text(VIEW)).not.toContain('\u001b');
    expect(text(VIEW, true)).toContain('\u001b[32mwrong answers         0');
    expect(text({ ...VIEW, wrong: 1 }, true)).toContain('\u001b[31mwrong answers         1');
  });

  it('is a line in a pipe, with the same figures', () => {
    expect(lineOf(VIEW, HOST)).toBe(
      'simulated host, 50 VMs: 8412 look-ups a second, p50 0.25 ms, 1.010 hypercalls a look-up, by a list each 2.50 ms and 51 domains copied, 17 lists, 0 wrong; last: domain 49 destroyed\n',
    );
  });
});

it('`npm start` says at once that it builds', async () => {
  const root = join(import.meta.dirname, '../../..');
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const folder = mkdtempSync(join(tmpdir(), 'start-'));
  // The same script, with a build that does not end.
  const own = { start: scripts['start'], build: 'sleep 1000' };
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'x', scripts: own }));
  const npm = spawn('npm', ['--silent', 'start'], { cwd: folder, detached: true });
  try {
    const [said] = (await once(npm.stdout, 'data')) as [Buffer];
    expect(said.toString()).toMatch(/^Building/);
  } finally {
    process.kill(-(npm.pid ?? 0), 'SIGKILL');
    await once(npm, 'exit');
    rmSync(folder, { recursive: true });
  }
});
