/** The bound of this process's file descriptors. */
import { readFileSync } from 'node:fs';

/** Returns the bound set by the unit's `LimitNOFILE` or a shell's `ulimit -n`. Node raises the soft limit to the hard one. */
export function mostDescriptors(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    return Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Infinity);
  } catch {
    // A bare chroot has no /proc.
    return Infinity;
  }
}
