/** When a process started, to tell it from a later one with its process id. */
import { readFileSync } from 'node:fs';

/** Fields of `/proc/PID/stat` between the name, which may contain spaces, and the start time (`proc(5)`: field 22). */
const FIELDS_BEFORE_START = 19;

/** Returns clock ticks since the machine's start; undefined where there is no such process, or it cannot be seen. */
export function processStart(pid: number): bigint | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const start = fields[FIELDS_BEFORE_START];
    return start === undefined || !/^\d+$/.test(start) ? undefined : BigInt(start);
  } catch {
    return undefined;
  }
}
