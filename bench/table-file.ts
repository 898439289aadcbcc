/**
 * `npm run bench table`: the time to find an entry of the table, the cost of a change to the daemon, and the share of
 * buckets that overflow. Needs gcc.
 */
import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { DOMID_FIRST_RESERVED, type Domid } from '../src/domain.ts';
import { CHANGING_BYTES, CHANGING_FROM, GEOMETRY } from '../src/table/layout.ts';
import { readTable } from '../src/table/table-reader.ts';
import { TableWriter } from '../src/table/table-writer.ts';
import { parseUuid, uuidWords } from '../src/uuid.ts';

const CHANGES = 20_000;
const ROUNDS = 5;
const SIZES = [1000, DOMID_FIRST_RESERVED];
/** Most nanoseconds to find an entry, and most microseconds for a change. */
const TARGET_NS = [100, 300];
const TARGET_CHANGE_US = 10;
const TARGET_OVERFLOW = 0.01;

const root = join(import.meta.dirname, '../..');
const directory = mkdtempSync('/dev/shm/table-bench-');
const program = join(directory, 'find');

function run(command: string, args: readonly string[], input = ''): string {
  const { status, stdout, stderr } = spawnSync(command, args, { input, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command}: ${stderr}`);
  return stdout;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((one, other) => one - other)[numbers.length >> 1] ?? NaN;
}

/** Microseconds of the processor since `before`. */
function cpuUs(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

/** Microseconds for two writes of a change's sizes without anything else. */
function bareUs(path: string): number {
  const fd = openSync(path, 'r+');
  const bytes = readFileSync(path);
  const began = process.cpuUsage();
  for (let change = 0; change < CHANGES; change++) {
    const at = GEOMETRY.headerBytes + (change % GEOMETRY.buckets) * GEOMETRY.bucketBytes;
    writeSync(fd, bytes, at, GEOMETRY.bucketBytes, at);
    writeSync(fd, bytes, CHANGING_FROM, CHANGING_BYTES, CHANGING_FROM);
  }
  const took = cpuUs(began) / CHANGES;
  closeSync(fd);
  return took;
}

/** Microseconds for a change, each written in a turn of its own: a domain goes, another comes. */
async function changeUs(
  writer: TableWriter,
  handles: readonly ReturnType<typeof uuidWords>[],
): Promise<number> {
  const before = writer.writes;
  const nothing = Promise.resolve();
  const began = process.cpuUsage();
  for (let change = 0; change < CHANGES; change += 2) {
    const domid = (change % handles.length) as Domid;
    const handle = handles[domid];
    if (handle === undefined) throw new RangeError();
    writer.holderRemoved(handle, domid, () => []);
    // oxlint-disable-next-line no-await-in-loop -- the writer writes before this goes on
    await nothing;
    writer.holderAdded(handle, domid);
    // oxlint-disable-next-line no-await-in-loop
    await nothing;
  }
  // The few UUIDs without a slot write nothing.
  if (writer.writes - before < 1.98 * CHANGES) throw new Error('changes were written together');
  return cpuUs(began) / CHANGES;
}

function report(what: string, value: number, unit: string, target: number): void {
  const ratio = (value / target).toFixed(2);
  process.stdout.write(
    `${what}: ${value.toPrecision(3)} ${unit}, ${ratio} of the target of ${target}\n`,
  );
  if (value > target) process.exitCode = 1;
}

try {
  run('gcc', ['-O2', '-o', program, join(root, 'bench/table-file.c')]);
  for (const [index, domains] of SIZES.entries()) {
    const path = join(directory, `domids-${domains}`);
    const uuids = Array.from({ length: domains }, () => parseUuid(randomUUID()));
    const handles = uuids.map(uuidWords);
    const writer = TableWriter.open({ path });
    handles.forEach((handle, domid) => writer.holderAdded(handle, domid as Domid));
    writer.begin(() => 0);
    const finds = Array.from({ length: ROUNDS }, () =>
      Number(run(program, [path], uuids.join('\n')).split(' ')[0]),
    );
    report(`${domains} domains, finding an entry`, median(finds), 'ns', TARGET_NS[index] ?? 0);
    const changes: number[] = [];
    const bareWrites: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      // oxlint-disable-next-line no-await-in-loop -- in turns
      changes.push(await changeUs(writer, handles));
      bareWrites.push(bareUs(path));
    }
    const bare = median(bareWrites);
    report(`${domains} domains, a change`, median(changes), 'us', TARGET_CHANGE_US);
    process.stdout.write(
      `${domains} domains, a change: its two writes without anything else ${bare.toPrecision(3)} us\n`,
    );
    const { fullBuckets, header } = readTable(path);
    report(
      `${domains} domains, overflowing buckets`,
      fullBuckets / GEOMETRY.buckets,
      '',
      TARGET_OVERFLOW,
    );
    process.stdout.write(`${domains} domains, UUIDs without a slot: ${header.unplaced}\n`);
    writer.close();
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
