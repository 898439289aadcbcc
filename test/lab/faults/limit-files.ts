/** Sets the limit of open files of another process. */
import koffi from 'koffi';

/** RLIMIT_NOFILE of `asm-generic/resource.h`. */
const RLIMIT_NOFILE = 7;

export function limitFiles(pid: number, most: number): void {
  const prlimit = koffi
    .load(null)
    .func('int prlimit(int pid, int resource, const void *limits, void *before)');
  // Soft and hard limit.
  if (prlimit(pid, RLIMIT_NOFILE, BigUint64Array.of(BigInt(most), BigInt(most)), null) !== 0)
    throw new Error(`prlimit of process ${pid} failed with errno ${koffi.errno()}`);
}
