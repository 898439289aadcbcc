/** The command line in dom0, as a person types it, compared with `xl list -v`. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { join } from 'node:path';

import type { Domain } from '../../../src/domain.ts';
import { ErrorCode } from '../../../src/xen-error.ts';
import {
  command,
  destroyAll,
  hold,
  destroy,
  makeBare,
  makeIntroduced,
  pause,
  PLAIN,
  startToolstack,
  until,
  witness,
  xl,
  xlCreate,
  type Held,
  type Made,
} from '../dom0.ts';

const BIN = join(import.meta.dirname, '../../../src/cli/bin.cjs');
const TWICE = 'c0ffee00-1234-4567-89ab-cdef01234567';
const UNKNOWN = '6d4f1a5e-0b7c-4c4e-9d2a-3f1e5b7a9c01';
const NOBODY = 65_534;

interface Said {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

async function xenDomid(args: readonly string[], uid = 0): Promise<Said> {
  const env = { PATH: process.env['PATH'] };
  const child = spawn(process.execPath, [BIN, ...args], { env, uid, gid: uid });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  const status = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject).on('close', resolve);
  });
  return { status, out, err };
}

interface Row {
  readonly name: string;
  readonly domid: number;
  readonly mem: number;
  readonly vcpus: number;
  readonly state: string;
  readonly time: number;
  readonly uuid: string;
}

const ROW =
  /^(?<name>.*?) +(?<domid>\d+) +(?<mem>\d+) +(?<vcpus>\d+) +(?<state>[a-z-]{6}) +(?<time>\d+\.\d) +(?<uuid>[\da-f-]{36})/;

/** Returns the rows of a table of `xl` or of ours. */
function rowsOf(table: string): Row[] {
  return table
    .trimEnd()
    .split('\n')
    .slice(1)
    .map((line) => {
      const cells = ROW.exec(line)?.groups;
      if (cells === undefined) throw new Error(`not a row: ${line}`);
      const { name = '', state = '', uuid = '' } = cells;
      const [domid = 0, mem = 0, vcpus = 0, time = 0] = ['domid', 'mem', 'vcpus', 'time'].map(
        (cell) => Number(cells[cell]),
      );
      return { name: name === '(null)' ? '-' : name, domid, mem, vcpus, state, time, uuid };
    });
}

const withoutTime = (row: Row): Row => ({ ...row, time: Number.NaN });

let bare: Made[];
let introduced: Made[];
let guest: Made;
let held: Held;

beforeAll(async () => {
  await startToolstack();
  bare = await makeBare(20);
  await makeBare(2, { uuid: TWICE });
  introduced = await makeIntroduced(2);
  guest = await xlCreate({ kind: `${PLAIN}-block`, name: 'blocks' });
  await xlCreate({ kind: 'pvh-crash', name: 'crashes' });
  await xlCreate({ kind: `${PLAIN}-poweroff`, name: 'is off' });
  const paused = await xlCreate({ kind: `${PLAIN}-block`, name: 'paused', memory: 12 });
  await pause(paused.domid);
  const zombie = bare.pop()?.domid ?? 0;
  held = await hold(zombie);
  await destroy(zombie);
  await command('xenstore-write', `/local/domain/${introduced[0]?.domid}/name`, 'introduced');
  for (const [name, letter] of [
    ['blocks', 'b'],
    ['crashes', 'c'],
    ['is off', 's'],
  ] as const) {
    // oxlint-disable-next-line no-await-in-loop
    await until(async () => rowsOf(await xl('list', '-v', name))[0]?.state.includes(letter));
  }
  await until(async () => rowsOf(await xl('list', '-v')).some(({ state }) => state.endsWith('d')));
}, 120_000);

afterAll(async () => {
  await held.release();
  await destroyAll();
}, 60_000);

describe('list --direct', () => {
  test('prints what xl list -v prints', async () => {
    const before = rowsOf(await xl('list', '-v'));
    const { status, out, err } = await xenDomid(['list', '--direct']);
    const after = rowsOf(await xl('list', '-v'));
    expect({ status, err }).toEqual({ status: 0, err: '' });
    const ours = rowsOf(out);
    expect(ours.map(withoutTime)).toEqual(before.map(withoutTime));
    expect(ours.map(withoutTime)).toEqual(after.map(withoutTime));
    // Both round to a tenth.
    const wrong = ours.filter(
      ({ time }, index) =>
        time < (before[index]?.time ?? 0) - 0.1 || time > (after[index]?.time ?? 0) + 0.1,
    );
    expect(wrong).toEqual([]);
    expect(new Set(ours.map(({ state }) => state)).size).toBeGreaterThanOrEqual(6);
    expect(ours.map(({ name }) => name)).toContain('is off');
  }, 60_000);

  test('--json tells the same', async () => {
    const { status, out } = await xenDomid(['list', '--direct', '--json']);
    const rows = rowsOf(await xl('list', '-v'));
    const { domains } = JSON.parse(out) as { domains: (Domain & { name?: string })[] };
    expect(status).toBe(0);
    const seen = domains.map(({ domid, name, memoryBytes, vcpus, uuid }) => {
      return { domid, name: name ?? '-', mem: Math.floor(memoryBytes / 2 ** 20), vcpus, uuid };
    });
    const expected = rows.map(({ domid, name, mem, vcpus, uuid }) => {
      return { domid, name, mem, vcpus, uuid };
    });
    expect(seen).toEqual(expected);
    const crashed = domains.find(({ name }) => name === 'crashes');
    expect(crashed).toMatchObject({ shutdown: true, shutdownReason: 'crash', hvm: true });
  }, 60_000);

  test('a name that a guest made up moves no cursor', async () => {
    const name = `/local/domain/${introduced[1]?.domid}/name`;
    await command('xenstore-write', name, 'evil\u001b[2J\nroot 0');
    const { out } = await xenDomid(['list', '--direct']);
    expect(out).toContain('evil?[2J?root 0');
    expect(out).not.toContain('\u001b');
    expect(rowsOf(out)).toHaveLength((await witness()).length);
    await command('xenstore-rm', name);
  }, 60_000);
});

describe('lookup --direct', () => {
  test('prints the domid of a guest, of a bare and of an introduced domain; status 0', async () => {
    expect(await xenDomid(['lookup', '--direct', guest.uuid])).toEqual({
      status: 0,
      out: `${guest.domid}\n`,
      err: '',
    });
    const several = [bare[7], introduced[0], guest].flatMap((one) => one ?? []);
    const { status, out } = await xenDomid([
      'lookup',
      '--direct',
      ...several.map(({ uuid }) => uuid.toUpperCase()),
    ]);
    expect(status).toBe(0);
    expect(out).toBe(several.map(({ uuid, domid }) => `${uuid} ${domid}\n`).join(''));
  }, 60_000);

  test('--json prints the domain as xl shows it', async () => {
    const { status, out } = await xenDomid(['lookup', '--direct', '--json', guest.uuid]);
    const row = rowsOf(await xl('list', '-v', 'blocks'))[0];
    expect(status).toBe(0);
    const { domain, ...rest } = JSON.parse(out) as { domain: Domain };
    expect(rest).toEqual({ uuid: guest.uuid, status: 'found' });
    expect(domain).toMatchObject({ domid: row?.domid, uuid: row?.uuid, blocked: true });
    expect(domain.memoryBytes >> 20).toBe(row?.mem);
  }, 60_000);

  test('status 1: no domain has it', async () => {
    const { status, out, err } = await xenDomid(['lookup', '--direct', UNKNOWN]);
    expect({ status, out }).toEqual({ status: 1, out: '' });
    expect(err).toContain(UNKNOWN);
  });

  test('status 1: only a dying domain has it', async () => {
    const zombie = (await witness()).find(({ flags }) => (flags & 1) !== 0);
    const { status } = await xenDomid(['lookup', '--direct', zombie?.uuid ?? '']);
    expect(status).toBe(1);
  });

  test('status 2: no UUID, no such option', async () => {
    expect((await xenDomid(['lookup', '--direct', 'no-uuid'])).status).toBe(2);
    expect((await xenDomid(['lookup', '--frobnicate'])).status).toBe(2);
  });

  test('status 3: two domains have it, both are named', async () => {
    const domids = (await witness()).filter(({ uuid }) => uuid === TWICE).map(({ domid }) => domid);
    const { status, out, err } = await xenDomid(['lookup', '--direct', TWICE]);
    expect({ status, out }).toEqual({ status: 3, out: '' });
    expect(err).toContain(`domids ${domids.join(', ')}`);
    // Uses the highest of several.
    const worst = await xenDomid(['lookup', '--direct', guest.uuid, TWICE, UNKNOWN]);
    expect(worst.status).toBe(3);
  }, 60_000);

  test('status 4: not root', async () => {
    const { status, out, err } = await xenDomid(['lookup', '--direct', '--json', UNKNOWN], NOBODY);
    expect({ status, out }).toEqual({ status: 4, out: '' });
    expect(JSON.parse(err)).toMatchObject({ error: { code: ErrorCode.NOT_PERMITTED } });
  });

  test('status 4: no Xen to ask', async () => {
    const hidden = ['/dev/xen', '/proc/xen'];
    for (const folder of hidden) {
      // oxlint-disable-next-line no-await-in-loop
      await command('mount', '-t', 'tmpfs', 'tmpfs', folder);
    }
    try {
      const { status, out, err } = await xenDomid(['lookup', '--direct', '--json', UNKNOWN]);
      expect({ status, out }).toEqual({ status: 4, out: '' });
      expect(JSON.parse(err)).toMatchObject({ error: { code: ErrorCode.NO_XEN } });
      expect((await xenDomid(['list', '--direct'])).err).toContain('modprobe xen-privcmd');
    } finally {
      for (const folder of hidden) await command('umount', folder);
    }
  });
});
