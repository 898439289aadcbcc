/** `xen-domid table`: the contents of a file, its age and its writer; and the options of `serve` that say where it is. */
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Domid } from '../../src/domain.ts';
import { HeaderOffset, TableState } from '../../src/table/layout.ts';
import { readTable } from '../../src/table/table-reader.ts';
import { TableWriter } from '../../src/table/table-writer.ts';
import { parseUuid, uuidWords } from '../../src/uuid.ts';
import { until } from '../support/until.ts';
import { A, B, TWICE } from './world.ts';

const BIN = join(import.meta.dirname, '../../src/cli/bin.cjs');
const YESTERDAY = Date.now() - 24 * 3600 * 1000;

/** Starting a process takes seconds on a busy machine. */
jest.setTimeout(60_000);

let directory: string;
let path: string;
let writer: TableWriter;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cli-table-'));
  path = join(directory, 'domids');
  writer = TableWriter.open({ path });
  const holders: [string, number][] = [
    [A, 7],
    [B, 3],
    [TWICE, 5],
    [TWICE, 9],
  ];
  for (const [uuid, domid] of holders) {
    writer.holderAdded(uuidWords(parseUuid(uuid)), domid as Domid);
  }
  writer.begin(() => 41);
});

afterEach(() => {
  writer.close();
  rmSync(directory, { recursive: true, force: true });
});

function run(...args: string[]): { status: number | null; out: string; err: string } {
  const env = { ...process.env, NODE_OPTIONS: '' };
  const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, ...args], {
    env,
    encoding: 'utf8',
  });
  return { status, out: stdout, err: stderr };
}

function overwrite(bytes: Buffer, offset: number): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, bytes, 0, bytes.length, offset);
  closeSync(fd);
}

function number(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

describe('table', () => {
  it('prints the entries by domid, their number, the age and the writer', () => {
    const { status, out, err } = run('table', path);
    expect({ status, err }).toEqual({ status: 0, err: '' });
    const [file, service, count, ...entries] = out.trimEnd().split('\n');
    expect(file).toBe(`${path}: format 1, 2101248 bytes, 16384 buckets of 7`);
    expect(service).toMatch(
      new RegExp(
        `^kept by process ${process.pid}, since 20\\S+Z; written \\d+\\.\\d s ago, at revision 41$`,
      ),
    );
    expect(count).toBe('3 UUIDs; 0 more without a slot, in 0 full buckets');
    expect(entries).toEqual([`several ${TWICE}`, `3 ${B}`, `7 ${A}`]);
  });

  it('prints the same as JSON', () => {
    const { status, out } = run('table', path, '--json');
    expect(status).toBe(0);
    expect(JSON.parse(out)).toEqual({
      path,
      bytes: 2_101_248,
      format: 1,
      headerBytes: 4096,
      buckets: 16_384,
      bucketBytes: 128,
      slots: 7,
      writer: 'kept',
      pid: process.pid,
      since: expect.stringMatching(/^20\S+Z$/),
      ageMs: expect.any(Number),
      revision: 41,
      fullBuckets: 0,
      unplaced: 0,
      entries: [
        { uuid: TWICE, domid: 'several' },
        { uuid: B, domid: 3 },
        { uuid: A, domid: 7 },
      ],
    });
  });

  it('distinguishes a service that has ended, was killed, is silent, or has replaced the file', () => {
    overwrite(number(YESTERDAY), HeaderOffset.heartbeat);
    const silent = run('table', path).out;
    expect(silent).toContain(`process ${process.pid} is there, but writes no more`);
    expect(silent).toMatch(/written 8640\d\.\d s ago/);
    const { start } = readTable(path).header;
    overwrite(number(start + 1n), HeaderOffset.start);
    expect(run('table', path).out).toContain(`abandoned: process ${process.pid} has ended`);
    overwrite(number(start), HeaderOffset.start);
    writer.close();
    expect(run('table', path).out).toContain('stopped: the service has ended');
    expect(JSON.parse(run('table', path, '--json').out)).not.toHaveProperty('pid');
    overwrite(Buffer.of(TableState.retired, 0, 0, 0), HeaderOffset.state);
    expect(run('table', path).out).toContain('retired: another file is at its path now');
  });

  it('refuses a file that is no table, and says what to do where there is none', () => {
    expect(run('table', BIN)).toMatchObject({
      status: 4,
      out: '',
      err: expect.stringContaining('it is no table of xen-domid'),
    });
    expect(run('table', join(directory, 'none'))).toMatchObject({
      status: 4,
      err: expect.stringContaining('start one by "xen-domid serve"'),
    });
    expect(run('table', path, path)).toMatchObject({ status: 2 });
  });
});

describe('serve', () => {
  let child: ChildProcess | undefined;

  afterEach(() => {
    child?.kill('SIGKILL');
  });

  function serve(...args: string[]): ChildProcess {
    const socket = join(directory, 'socket');
    const argv = [BIN, 'serve', '--simulate', '5', '--socket', socket, ...args];
    const env = { ...process.env, NODE_OPTIONS: '' };
    child = spawn(process.execPath, argv, { env, stdio: 'ignore' });
    return child;
  }

  it('keeps a table at the path that is given, and leaves it there at its end', async () => {
    const own = join(directory, 'own', 'domids');
    const service = serve('--table', own);
    await until(() => existsSync(own) && readTable(own).entries.length >= 5, {
      what: 'the table has the domains',
    });
    expect(statSync(own).mode & 0o777).toBe(0o640);
    const ended = once(service, 'exit');
    service.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    expect(readTable(own)).toMatchObject({ writer: 'stopped', bytes: statSync(own).size });
  });

  it('does not start if the path that is given has something else', async () => {
    const [status] = (await once(serve('--table', BIN), 'exit')) as [number];
    expect(status).toBe(4);
  });

  it('takes either --table or --no-table', () => {
    expect(run('serve', '--simulate', '1', '--table', path, '--no-table')).toMatchObject({
      status: 2,
      err: expect.stringContaining('--table and --no-table exclude each other'),
    });
  });
});
