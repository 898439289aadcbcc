/** The file: its name, mode, size and owner, and a writer that finds a file at its path. */
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Inventory } from '../../src/inventory/inventory.ts';
import { Mirror } from '../../src/inventory/mirror.ts';
import { SimulatedHost, SimulatedHypervisor } from '../../src/simulator/index.ts';
import {
  GEOMETRY,
  HeaderOffset,
  readHeader,
  tableBytes,
  TableState,
} from '../../src/table/layout.ts';
import { readTable } from '../../src/table/table-reader.ts';
import { TableWriter } from '../../src/table/table-writer.ts';
import { uuidWords } from '../../src/uuid.ts';
import type { XenError } from '../../src/xen-error.ts';
import { cannot } from '../lab/cannot.ts';
import { until } from '../support/until.ts';
import { uuidOfNumber } from './uuids.ts';

const onlyRoot = cannot(process.getuid?.() !== 0 && 'only root can give a file away');
const SIZE = tableBytes(GEOMETRY);
const [ONE, TWO, THREE] = [uuidOfNumber(1), uuidOfNumber(2), uuidOfNumber(3)];

let directory: string;
let path: string;
let host: SimulatedHost;
let hypervisor: SimulatedHypervisor;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'table-'));
  path = join(directory, 'domids');
  host = new SimulatedHost({ history: false });
  hypervisor = new SimulatedHypervisor(host);
});

afterEach(async () => {
  await hypervisor.close();
  rmSync(directory, { recursive: true, force: true });
});

const open = (onLost?: (error: XenError) => void): Promise<Inventory> =>
  Inventory.open({
    hypervisor,
    xenstore: false,
    listIntervalMs: Infinity,
    table: { path, onLost },
  });

function isOpenAt(fd: string, file: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`) === file;
  } catch {
    return false;
  }
}

/** Makes the writer's descriptor one that cannot be written. It is found by its name, so the file must be older. */
function breakDescriptor(): void {
  const fd = Number(readdirSync('/proc/self/fd').find((each) => isOpenAt(each, path)));
  closeSync(fd);
  expect(openSync(path, 'r')).toBe(fd);
}

/** Changes the header, as another process does. */
function overwrite(change: (bytes: Buffer) => void): void {
  const bytes = readFileSync(path);
  change(bytes);
  writeFileSync(path, bytes, { flag: 'r+' });
}

const timers = (): string[] =>
  process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout');

const entries = (): Record<string, number | string> =>
  Object.fromEntries(readTable(path).entries.map(({ uuid, domid }) => [uuid, domid ?? 'several']));

test('an inventory keeps the domids of all UUIDs in its table', async () => {
  host.createDomain({ domid: 7, uuid: ONE });
  const inventory = await open();
  expect(entries()).toEqual({ [ONE]: 7 });
  expect(readTable(path)).toMatchObject({
    writer: 'kept',
    bytes: SIZE,
    header: { pid: process.pid },
  });

  host.createDomain({ domid: 9, uuid: TWO });
  expect(await inventory.lookup(TWO)).toMatchObject({ status: 'found' });
  expect(entries()).toEqual({ [ONE]: 7, [TWO]: 9 });
  expect(readTable(path).header.revision).toBe(1n);

  host.setHandle(9, THREE);
  await inventory.get(9);
  expect(entries()).toEqual({ [ONE]: 7, [THREE]: 9 });

  host.createDomain({ domid: 12, uuid: ONE });
  await inventory.list();
  expect(entries()).toEqual({ [ONE]: 'several', [THREE]: 9 });

  host.hold(7);
  host.destroy(7);
  await inventory.get(7);
  expect(entries()).toEqual({ [ONE]: 12, [THREE]: 9 });

  host.destroy(12);
  await inventory.list();
  expect(entries()).toEqual({ [THREE]: 9 });
  await inventory.close();
  expect(readTable(path)).toMatchObject({ writer: 'stopped', header: { pid: 0 } });
  expect(entries()).toEqual({ [THREE]: 9 });
});

test('a dying domain and a tombstone that no change tells are not in the table', async () => {
  host.createDomain({ domid: 5, uuid: ONE });
  host.hold(5);
  host.destroy(5);
  const inventory = await open();
  expect(entries()).toEqual({});
  await inventory.close();
});

test('a change makes two writes, the bucket and the header; a look-up of a known UUID none', () => {
  const writer = TableWriter.open({ path });
  let revision = 0;
  writer.begin(() => revision);
  const before = writer.writes;
  writer.holderAdded(uuidWords(ONE), 3 as never);
  revision++;
  writer.flush();
  expect(writer.writes - before).toBe(2);
  writer.holderAdded(uuidWords(ONE), 3 as never);
  writer.flush();
  expect(writer.writes - before).toBe(2);
  writer.close();
});

test('no hit writes to the table', async () => {
  host.createDomain({ domid: 7, uuid: ONE });
  const inventory = await open();
  const before = readFileSync(path);
  for (let times = 0; times < 100; times++) await inventory.lookup(ONE);
  expect(readFileSync(path).equals(before)).toBe(true);
  await inventory.close();
});

test('each change renews the heartbeat, and the number of UUIDs without a slot', () => {
  const writer = TableWriter.open({ path });
  writer.begin(() => 0);
  const at = Date.now() + 1000;
  const clock = jest.spyOn(Date, 'now').mockReturnValue(at);
  // As many as a host can have: in some buckets there are too many.
  for (let number = 0; number < 0x7ff0; number++) {
    writer.holderAdded(uuidWords(uuidOfNumber(number)), number as never);
  }
  writer.flush();
  clock.mockRestore();
  const { header, entries: placed } = readTable(path);
  expect(header.heartbeatMs).toBe(at);
  expect(header.unplaced).toBeGreaterThan(0);
  expect(placed.length + header.unplaced).toBe(0x7ff0);
  writer.close();
});

test('many changes in one turn are one block', async () => {
  const inventory = await open();
  for (let number = 0; number < 5000; number++) host.createDomain({ uuid: uuidOfNumber(number) });
  await inventory.list();
  expect(Object.keys(entries())).toHaveLength(5000);
  // Between the first changed bucket and the last.
  const writer = TableWriter.open({ path: `${path}-2` });
  writer.begin(() => 0);
  const before = writer.writes;
  for (let number = 0; number < 5000; number++) {
    writer.holderAdded(uuidWords(uuidOfNumber(number)), number as never);
  }
  writer.flush();
  expect(writer.writes - before).toBe(2);
  writer.close();
  await inventory.close();
});

onlyRoot(
  'the file has its size from the first, no holes, and the mode and group of the socket, for reading',
  async () => {
    const group = 1;
    const writer = TableWriter.open({ path, group: String(group) });
    const { size, blocks, mode, gid } = statSync(path);
    expect({ size, mode: mode & 0o7777, gid }).toEqual({ size: SIZE, mode: 0o640, gid: group });
    expect(blocks * 512).toBeGreaterThanOrEqual(SIZE);
    writer.close();
  },
);

test('only the owner can write the file, and the directory of it can be entered, whatever the umask', () => {
  path = join(directory, 'new', 'domids');
  const before = process.umask(0o077);
  try {
    TableWriter.open({ path }).close();
  } finally {
    process.umask(before);
  }
  expect(statSync(join(directory, 'new')).mode & 0o777).toBe(0o755);
  expect(statSync(path).mode & 0o777).toBe(0o640);
  chmodSync(path, 0o666);
  TableWriter.open({ path }).close();
  expect(statSync(path).mode & 0o777).toBe(0o640);
});

onlyRoot(
  'the error about a group that a writer may not give the file to names the group as it was given',
  () => {
    // Without effective root rights, as in a service without CAP_CHOWN.
    chmodSync(directory, 0o777);
    process.seteuid?.(65_534);
    try {
      expect(() => TableWriter.open({ path, group: 'daemon' })).toThrow(
        /cannot be given to group daemon \(EPERM\).*SupplementaryGroups=daemon /,
      );
    } finally {
      process.seteuid?.(0);
    }
    expect(readdirSync(directory)).toEqual([]);
  },
);

onlyRoot('a writer without a group takes the file back from the group of the one before it', () => {
  TableWriter.open({ path, group: '1' }).close();
  expect(statSync(path).gid).toBe(1);
  TableWriter.open({ path }).close();
  expect(statSync(path).gid).toBe(process.getegid?.());
});

test('a writer that loses the table while it begins leaves no timer', () => {
  const before = timers();
  TableWriter.open({ path }).close();
  const lost: XenError[] = [];
  const writer = TableWriter.open({ path, onLost: (error) => lost.push(error) });
  breakDescriptor();
  writer.begin(() => 0);
  expect(lost).toHaveLength(1);
  expect(timers()).toEqual(before);
});

test('a writer that loses the table while it closes reports that, and closes its descriptor once', () => {
  TableWriter.open({ path }).close();
  const lost: XenError[] = [];
  const writer = TableWriter.open({ path, onLost: (error) => lost.push(error) });
  breakDescriptor();
  writer.close();
  expect(lost).toMatchObject([{ code: 'ERR_TABLE_REFUSED' }]);
  writer.close();
  expect(lost).toHaveLength(1);
});

test('an inventory that cannot be made gives its table back', async () => {
  jest.spyOn(Mirror.prototype, 'observe').mockImplementationOnce(() => {
    throw new RangeError('made to fail');
  });
  await expect(open()).rejects.toThrow('made to fail');
  const inventory = await open();
  await inventory.close();
});

test('the inode stays over restarts, and the entries until the first list of the next writer', async () => {
  host.createDomain({ domid: 7, uuid: ONE });
  await (await open()).close();
  const { ino } = statSync(path);
  host.destroy(7);
  host.createDomain({ domid: 8, uuid: TWO });
  const writer = TableWriter.open({ path });
  expect(entries()).toEqual({ [ONE]: 7 });
  writer.close();
  const inventory = await open();
  expect(entries()).toEqual({ [TWO]: 8 });
  expect(statSync(path).ino).toBe(ino);
  await inventory.close();
});

test('a table that another process keeps is left alone', async () => {
  const inventory = await open();
  await expect(open()).rejects.toMatchObject({ code: 'ERR_TABLE_IN_USE' });
  await inventory.close();
  await (await open()).close();
});

test('a writer that was killed leaves a table to take over', async () => {
  const bin = join(import.meta.dirname, '../../src/cli/bin.cjs');
  const socket = join(directory, 'socket');
  const serve = ['serve', '--simulate', '3', '--socket', socket, '--table', path];
  const killed = spawn(process.execPath, [bin, ...serve], { stdio: 'ignore' });
  await until(() => existsSync(socket), { what: 'the socket' });
  expect(readTable(path).header.pid).toBe(killed.pid);
  killed.kill('SIGKILL');
  await once(killed, 'exit');
  expect(readTable(path).writer).toBe('abandoned');
  const { ino } = statSync(path);
  const inventory = await open();
  expect(readTable(path)).toMatchObject({ writer: 'kept', header: { pid: process.pid } });
  expect(statSync(path).ino).toBe(ino);
  await inventory.close();
});

test('a process that has the id of a writer, and started later, is not taken for it', async () => {
  const inventory = await open();
  const { start } = readTable(path).header;
  overwrite((bytes) => bytes.writeBigUInt64LE(start - 1n, HeaderOffset.start));
  expect(readTable(path).writer).toBe('abandoned');
  const writer = TableWriter.open({ path });
  expect(readTable(path)).toMatchObject({ writer: 'kept', header: { start } });
  writer.close();
  await inventory.close();
});

test('a writer takes over what another left between any two bytes of its writes', () => {
  const keep = (): TableWriter => {
    const writer = TableWriter.open({ path });
    writer.holderAdded(uuidWords(ONE), 7 as never);
    writer.begin(() => 0);
    return writer;
  };
  keep().close();
  const stopped = readFileSync(path);
  const kept = Buffer.from(stopped);
  kept.writeUInt32LE(TableState.kept, HeaderOffset.state);
  kept.writeBigUInt64LE(300n, HeaderOffset.revision);
  kept.writeUInt32LE(spawnSync('true').pid, HeaderOffset.pid);
  kept.writeBigUInt64LE(0x0102030405060708n, HeaderOffset.start);
  kept.writeBigUInt64LE(0n, HeaderOffset.since);
  // The buckets of an earlier time, of which half has been replaced.
  kept.fill(0x5a, GEOMETRY.headerBytes, GEOMETRY.headerBytes + (kept.length >> 1));
  for (const [first, second] of [
    [stopped, kept],
    [kept, stopped],
  ] as const) {
    for (let cut = HeaderOffset.state; cut <= HeaderOffset.since + 8; cut++) {
      if (cut > HeaderOffset.state && first[cut - 1] === second[cut - 1]) continue;
      writeFileSync(path, Buffer.concat([first.subarray(0, cut), second.subarray(cut)]));
      const writer = keep();
      const now = readFileSync(path);
      writer.close();
      expect(readHeader(now)).toMatchObject({ state: TableState.kept, pid: process.pid });
      const from = GEOMETRY.headerBytes;
      expect(now.subarray(from).equals(stopped.subarray(from))).toBe(true);
    }
  }
});

const NOT_OURS: Readonly<Record<string, () => void>> = {
  'a directory': () => mkdirSync(path),
  'a symbolic link': () => symlinkSync('/etc/passwd', path),
  'a file of something else': () => writeFileSync(path, 'x'.repeat(5000)),
  'an empty file': () => writeFileSync(path, ''),
  'a file with another name': () => {
    TableWriter.open({ path }).close();
    linkSync(path, join(directory, 'other'));
  },
};

async function expectRefused(): Promise<void> {
  const before = statSync(path).size;
  await expect(open()).rejects.toMatchObject({ code: 'ERR_TABLE_REFUSED' });
  expect(statSync(path).size).toBe(before);
}

test.each(Object.keys(NOT_OURS))('%s is refused and left as it is', async (kind) => {
  NOT_OURS[kind]?.();
  await expectRefused();
});

onlyRoot('a file of another user is refused and left as it is', async () => {
  TableWriter.open({ path }).close();
  chownSync(path, 1, 1);
  await expectRefused();
});

test('the file of a writer that was killed while it created it is removed', async () => {
  writeFileSync(`${path}.new`, 'half');
  await (await open()).close();
  expect(existsSync(`${path}.new`)).toBe(false);
});

test('a table of another format is retired, so that its readers learn of the new one, and is never shortened', async () => {
  const old = Buffer.alloc(8192);
  TableWriter.open({ path }).close();
  readFileSync(path).copy(old, 0, 0, 4096);
  old.writeUInt32LE(2, HeaderOffset.version);
  unlinkSync(path);
  writeFileSync(path, old);
  const mapped = openSync(path, 'r');
  const inventory = await open();
  expect(readTable(path)).toMatchObject({ writer: 'kept', bytes: SIZE });
  await inventory.close();
  old.writeUInt32LE(TableState.retired, HeaderOffset.state);
  expect(readFileSync(mapped).equals(old)).toBe(true);
  closeSync(mapped);
});

test('a table of another format is retired also where it has the same size', () => {
  TableWriter.open({ path }).close();
  overwrite((bytes) => bytes.writeUInt32LE(2, HeaderOffset.version));
  const mapped = openSync(path, 'r');
  TableWriter.open({ path }).close();
  expect(readTable(path).header.version).toBe(1);
  expect(readHeader(readFileSync(mapped))).toMatchObject({ version: 2, state: TableState.retired });
  closeSync(mapped);
});

test('a table whose writer another one displaced is written no more', async () => {
  let lost: XenError | undefined;
  const inventory = await open((error) => (lost = error));
  overwrite((bytes) => bytes.writeUInt32LE(1, HeaderOffset.pid));
  await until(() => lost !== undefined, { what: 'the heartbeat', timeoutMs: 15_000 });
  expect(lost).toMatchObject({ code: 'ERR_TABLE_REFUSED' });
  await inventory.close();
  expect(readTable(path).header).toMatchObject({ pid: 1, state: TableState.kept });
});

test('a table that another writer has displaced is not marked as stopped', () => {
  const writer = TableWriter.open({ path });
  overwrite((bytes) => bytes.writeUInt32LE(1, HeaderOffset.pid));
  writer.close();
  expect(readTable(path).header).toMatchObject({ pid: 1, state: TableState.kept });
});

test('a table whose file is removed is lost', async () => {
  let lost: XenError | undefined;
  const inventory = await open((error) => (lost = error));
  unlinkSync(path);
  await until(() => lost !== undefined, { what: 'the heartbeat', timeoutMs: 15_000 });
  expect(lost?.message).toContain('the file is there no more');
  await inventory.close();
});

test('a directory that cannot be written is refused with the option that helps', async () => {
  writeFileSync(join(directory, 'file'), '');
  path = join(directory, 'file', 'domids');
  await expect(open()).rejects.toMatchObject({ code: 'ERR_TABLE_REFUSED' });
  chmodSync(directory, 0o700);
});

test('an optional table that is refused is reported, and the inventory opens without it', async () => {
  writeFileSync(path, 'not a table');
  await expect(open()).rejects.toMatchObject({ code: 'ERR_TABLE_REFUSED' });
  const lost: XenError[] = [];
  const inventory = await Inventory.open({
    hypervisor,
    xenstore: false,
    table: { path, isOptional: true, onLost: (error) => lost.push(error) },
  });
  expect(lost).toMatchObject([{ code: 'ERR_TABLE_REFUSED' }]);
  await inventory.close();
  expect(readFileSync(path, 'utf8')).toBe('not a table');
});
