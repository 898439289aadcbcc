/** `xen-domid table`: prints the contents of a table's file. */
import { DEFAULT_TABLE_PATH, type TableEntry } from '../../table/layout.ts';
import { readTable, type TableContents, type WriterState } from '../../table/table-reader.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { printableJson } from '../../printable.ts';

export async function table(
  io: Io,
  path: string = DEFAULT_TABLE_PATH,
  { json }: { readonly json: boolean },
): Promise<ExitStatus> {
  const contents = readTable(path);
  const entries = contents.entries.toSorted(byDomid);
  const ageMs = Math.max(0, Date.now() - contents.header.heartbeatMs);
  if (json) io.out(`${printableJson(asJson(path, contents, entries, ageMs))}\n`);
  else io.out(asText(path, contents, entries, ageMs));
  return ExitStatus.done;
}

function byDomid(one: TableEntry, other: TableEntry): number {
  return (one.domid ?? -1) - (other.domid ?? -1) || (one.uuid < other.uuid ? -1 : 1);
}

function asJson(
  path: string,
  { header, bytes, writer, fullBuckets }: TableContents,
  entries: readonly TableEntry[],
  ageMs: number,
): object {
  const { version, geometry, revision, unplaced, pid, sinceMs } = header;
  return {
    path,
    bytes,
    format: version,
    ...geometry,
    writer,
    ...(pid !== 0 && { pid }),
    since: timeOf(sinceMs),
    ageMs,
    revision: Number(revision),
    fullBuckets,
    unplaced,
    entries: entries.map(({ uuid, domid }) => ({ uuid, domid: domid ?? 'several' })),
  };
}

function asText(
  path: string,
  { header, bytes, writer, fullBuckets }: TableContents,
  entries: readonly TableEntry[],
  ageMs: number,
): string {
  const { version, geometry, revision, unplaced, pid, sinceMs } = header;
  const { buckets, slots } = geometry;
  return [
    `${path}: format ${version}, ${bytes} bytes, ${buckets} buckets of ${slots}`,
    `${WRITER[writer].replace('PID', String(pid))}, since ${timeOf(sinceMs)}; written ${(ageMs / 1000).toFixed(1)} s ago, at revision ${revision}`,
    `${entries.length} UUIDs; ${unplaced} more without a slot, in ${fullBuckets} full buckets`,
    ...entries.map(({ uuid, domid }) => `${domid ?? 'several'} ${uuid}`),
    '',
  ].join('\n');
}

const WRITER: Readonly<Record<WriterState, string>> = {
  kept: 'kept by process PID',
  silent: 'process PID is there, but writes no more',
  abandoned: 'abandoned: process PID has ended',
  stopped: 'stopped: the service has ended',
  retired: 'retired: another file is at its path now',
};

/** A damaged file may have a time that no calendar has. */
function timeOf(ms: number): string {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : 'an unknown time';
}
