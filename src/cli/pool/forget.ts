/** `xen-domid pool forget`: removes a host that is retired. */
import { type OptionValues, UsageError } from '../arguments.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { askPool } from './connect.ts';

export async function forget(
  io: Io,
  [host]: readonly string[],
  options: OptionValues,
): Promise<ExitStatus> {
  if (host === undefined)
    throw new UsageError('pool forget needs the name of a host: see "xen-domid pool hosts"');
  await askPool(io, options, (pool) => pool.forget(host));
  return ExitStatus.done;
}
