/** The help and the manual page: both have everything, and the page is one that mandoc accepts. */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from '@jest/globals';
import { COMMAND_NAMES, OPTIONS_OF } from '../../src/cli/arguments.ts';
import { manPage } from '../../src/cli/help/man.ts';
import { PAGES } from '../../src/cli/help/pages.ts';
import { helpText } from '../../src/cli/help/text.ts';
import { cannot } from '../lab/cannot.ts';
import { World } from './world.ts';

const TEXTS = ['', ...COMMAND_NAMES] as const;

describe.each([60, 80, 120])('in %d columns', (columns) => {
  it.each(TEXTS)('the help of %p fits', (command) => {
    for (const line of helpText(command, columns).trimEnd().split('\n')) {
      // A command line to copy is not broken.
      if (/^(bash|zsh|fish): /.test(line)) continue;
      expect(line.length).toBeLessThanOrEqual(columns);
    }
  });
});

it('the help lists all commands, and each has all of its options', () => {
  for (const command of COMMAND_NAMES) {
    expect(helpText('')).toContain(`  ${command} `);
    for (const option of OPTIONS_OF[command]) expect(helpText(command)).toContain(`  --${option}`);
  }
  expect(Object.keys(PAGES)).toEqual(COMMAND_NAMES);
});

it('is as wide as the terminal', async () => {
  const world = await World.make();
  world.terminal = true;
  world.columns = 60;
  await world.run('list', '--help');
  const { out } = world.output;
  await world.close();
  expect(out).toBe(helpText('list', 60));
});

describe('the manual page', () => {
  const page = manPage('1.2.3', '2026-11-28');

  it('has all commands with their options, and the version', () => {
    expect(page).toContain('"xen-domid 1.2.3"');
    for (const command of COMMAND_NAMES) {
      const section = page.split(`.SS ${command}\n`)[1]?.split('.SS')[0] ?? '';
      expect(section).toContain('xen\\-domid');
      for (const option of OPTIONS_OF[command]) {
        expect(section).toContain(`\\fB\\-\\-${option.replaceAll('-', '\\-')}`);
      }
    }
  });

  cannot(
    spawnSync('mandoc', ['-V']).error && process.env['CI'] === undefined && 'there is no mandoc',
  )('is one that mandoc has nothing to say about', () => {
    const { stdout, stderr, status } = spawnSync('mandoc', ['-T', 'lint'], {
      input: page,
      encoding: 'utf8',
    });
    expect({ status, said: stdout + stderr }).toEqual({ status: 0, said: '' });
  });

  cannot(
    spawnSync('mandoc', ['-V']).error && process.env['CI'] === undefined && 'there is no mandoc',
  )('shows dashes that can be copied, and no macro as text', () => {
    const { stdout } = spawnSync('mandoc', ['-T', 'ascii', '-O', 'width=78'], {
      input: page,
      encoding: 'utf8',
    });
    // oxlint-disable-next-line no-control-regex -- bold letters are printed over themselves
    const text = stdout.replaceAll(/.\u0008/g, '');
    expect(text).toContain('--socket PATH');
    expect(text).toContain('xen-domid lookup UUID... [OPTION]...');
    expect(text).not.toMatch(/^\s*\.[A-Z]|\\f/m);
  });
});
