/** The machine and versions that figures were made with. */
import { arch, cpus, release } from 'node:os';
import { packageVersion } from '../src/package-version.ts';

export function machine(): string {
  const [cpu] = cpus();
  return `${cpus().length} x ${cpu?.model ?? arch()}, Linux ${release()}, Node ${process.version}, xen-domid ${packageVersion()}`;
}
