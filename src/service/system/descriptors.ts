/** How many descriptors this process may have. */
import { readFileSync } from 'node:fs';

/** As the unit's `LimitNOFILE` or a shell's `ulimit -n` has it; Node itself raises the soft limit to the hard one. */
export function mostDescriptors(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    return Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Infinity);
  } catch {
    // In a bare chroot there is no /proc.
    return Infinity;
  }
}
