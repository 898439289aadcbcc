/** `npm run demo:pool`, as a person at a terminal sees it. */
import { expect, test } from '@jest/globals';
import { execFile } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { root } from '../docs/markdown.ts';
import { Terminal } from '../support/terminal.ts';
import { until } from '../support/until.ts';

const BIN = join(root, 'dist/src/cli/bin.cjs');

/** Returns the processes that have `text` in their environment. */
function processesWith(text: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(text);
    } catch {
      // It has ended, or belongs to somebody else.
      return false;
    }
  });
}

test('`npm run demo:pool` shows VMs that move between eight hosts, answers other processes, and leaves nothing behind', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'demo-'));
  const temporary = join(folder, 'tmp');
  mkdirSync(temporary);
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  // The same script, without the build.
  const own = { 'demo:pool': scripts['demo:pool'], build: 'true' };
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'x', scripts: own }));
  symlinkSync(join(root, 'dist'), join(folder, 'dist'));
  const terminal = new Terminal(`npm --silent --prefix ${folder} run demo:pool`, {
    columns: 200,
    env: { TMPDIR: temporary },
  });
  try {
    await terminal.shows(/starting three NATS servers and eight hosts/);
    const [, urls = ''] = await terminal.shows(/XEN_DOMID_NATS=(\S+) xen-domid pool hosts/);
    expect(urls.split(',')).toHaveLength(3);
    const env = { ...process.env, NODE_OPTIONS: '', XEN_DOMID_NATS: urls };
    const pool = async (...argv: string[]): Promise<string> => {
      const run = promisify(execFile)(process.execPath, [BIN, 'pool', ...argv], { env });
      // A VM that stops or migrates at this moment makes another exit status.
      const { stdout } = await run.catch((error: { stdout: string }) => error);
      return stdout;
    };
    expect((await pool('hosts')).match(/^host\d +answers/gm)).toHaveLength(8);

    const [, uuid = '', first = ''] = await terminal.shows(
      /([\da-f-]{36}) {2}(host\d) \d+ +[\d.]+ ms; 0 wrong answers/,
    );
    await until(
      async () => {
        const [, host = first] = /^(host\d) \d+\n$/.exec(await pool('lookup', uuid)) ?? [];
        return host !== first;
      },
      { what: `${uuid} on another host than ${first}`, timeoutMs: 120_000 },
    );
    terminal.type(`${uuid}\r`);
    await terminal.shows(/\n(host\d \d+|on host\d .*it migrates|on no host)\r/);

    // The shell that npm starts ends by the signal.
    expect([0, 130]).toContain(await terminal.interrupt());
    expect(terminal.output).not.toMatch(/[1-9]\d* wrong|Error/);
    await until(() => processesWith(`TMPDIR=${temporary}`).length === 0);
    expect(readdirSync(temporary)).toEqual([]);
  } finally {
    terminal.kill();
    for (const pid of processesWith(`TMPDIR=${temporary}`)) process.kill(Number(pid), 'SIGKILL');
    rmSync(folder, { recursive: true });
  }
}, 300_000);
