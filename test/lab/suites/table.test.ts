/** The table on a real Xen: the readers in C, Python and OCaml confirm by libxenctrl, and that in C by libxencall too, while domains come and go and the service is killed. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InventoryClient } from '../../../src/client/client.ts';
import { readTable } from '../../../src/table/table-reader.ts';
import {
  Companion,
  destroy,
  destroyAll,
  hold,
  makeBare,
  note,
  setHandle,
  until as untilSoon,
  witness,
} from '../dom0.ts';

const BIN = join(import.meta.dirname, '../../../src/cli/bin.cjs');
/** With room for emulation on a busy machine. */
const SLOW_MS = 300_000;
const DOMAINS = 200;

let directory: string;
let table: string;
let socketPath: string;
let service: ChildProcess | undefined;
let client: InventoryClient | undefined;
let readers: Readonly<Record<string, Companion>>;

const until = (condition: () => boolean | Promise<boolean>, what: string): Promise<unknown> =>
  untilSoon(condition, { what, timeoutMs: SLOW_MS });

async function startService(): Promise<InventoryClient> {
  const args = [BIN, 'serve', '--socket', socketPath, '--table', table];
  service = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  client = new InventoryClient({ socket: socketPath, timeoutMs: SLOW_MS });
  await client.list({ timeoutMs: SLOW_MS });
  return client;
}

async function endService(signal: NodeJS.Signals): Promise<void> {
  await client?.close();
  client = undefined;
  if (service === undefined || service.exitCode !== null || service.signalCode !== null) return;
  const exited = once(service, 'exit');
  service.kill(signal);
  await exited;
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'table-'));
  table = join(directory, 'domids');
  socketPath = join(directory, 'socket');
  readers = {
    C: new Companion('table'),
    'C, libxencall': new Companion('table', ['xencall']),
    OCaml: new Companion('table-ocaml'),
    Python: new Companion('/usr/bin/python3', ['/usr/lib/xen-domid-lab/table.py', 'xc']),
  };
});

afterEach(async () => {
  await endService('SIGTERM');
  await Promise.all(Object.values(readers).map((reader) => reader.close()));
  await destroyAll();
  await until(async () => (await witness()).length === 1, 'all domains are gone');
  rmSync(directory, { recursive: true, force: true });
}, SLOW_MS);

/** Asks all readers. Returns their answer; if they differ, that of each. */
async function ask(...words: string[]): Promise<string> {
  const answers = await Promise.all(
    Object.entries(readers).map(
      async ([language, reader]) => [language, await reader.ask(...words)] as const,
    ),
  );
  const [first = ''] = new Set(answers.map(([, answer]) => answer));
  return answers.every(([, answer]) => answer === first)
    ? first
    : answers.map(([language, answer]) => `${language}: ${answer}`).join(', ');
}

test(
  'the readers in C, OCaml and Python find domains, and none that has gone, is dying, renamed or a twin',
  async () => {
    const made = await makeBare(DOMAINS);
    const asked = await startService();
    expect(await ask('open', table)).toBe('open');
    for (const { domid, uuid } of made) {
      // oxlint-disable-next-line no-await-in-loop -- one look-up after the other
      expect(await ask('lookup', uuid)).toBe(`found ${domid}`);
    }
    expect(await ask('lookup', randomUUID())).toBe('ask');

    const [gone, zombie, renamed, twin] = made as [
      { domid: number; uuid: string },
      { domid: number; uuid: string },
      { domid: number; uuid: string },
      { domid: number; uuid: string },
    ];
    const held = await hold(zombie.domid);
    const name = randomUUID();
    await destroy(gone.domid, zombie.domid);
    await setHandle(renamed.domid, name);
    // Whether the service has seen it or not: nothing confirms what the table says.
    for (const { uuid } of [gone, zombie, renamed]) {
      // oxlint-disable-next-line no-await-in-loop -- one look-up after the other
      expect(await ask('lookup', uuid)).toBe('ask');
    }
    await makeBare(1, { uuid: twin.uuid });
    await asked.list();
    expect(await ask('lookup', name)).toBe(`found ${renamed.domid}`);
    expect(await ask('lookup', twin.uuid)).toBe('ask');
    expect(await ask('hint', gone.uuid)).toBe('ask');
    await held.release();
  },
  SLOW_MS,
);

test(
  'the mapping stays good while the service is killed and started again',
  async () => {
    const [first] = (await makeBare(1)) as [{ domid: number; uuid: string }];
    await startService();
    expect(await ask('open', table)).toBe('open');
    expect(await ask('lookup', first.uuid)).toBe(`found ${first.domid}`);
    const { ino, size } = statSync(table);
    await endService('SIGKILL');
    expect(readTable(table).writer).toBe('abandoned');
    expect(await ask('lookup', first.uuid)).toBe(`found ${first.domid}`);
    await destroy(first.domid);
    expect(await ask('lookup', first.uuid)).toBe('ask');
    const [second] = (await makeBare(1)) as [{ domid: number; uuid: string }];
    await startService();
    expect(statSync(table)).toMatchObject({ ino, size });
    expect(await ask('lookup', second.uuid)).toBe(`found ${second.domid}`);
    expect(await ask('lookup', first.uuid)).toBe('ask');
    note(`table: ${readTable(table).entries.length} entries after the restart`);
  },
  SLOW_MS,
);
