/** `xen-domid pool list`: prints the domains of all hosts. */
import type { PoolList } from '../../pool/pool.ts';
import type { OptionValues } from '../arguments.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { isColourWanted } from '../terminal/colour.ts';
import { printableJson } from '../../printable.ts';
import { formatTable } from '../terminal/table.ts';
import { askPool } from './connect.ts';

export async function list(io: Io, options: OptionValues): Promise<ExitStatus> {
  const lists = await askPool(io, options, (pool) => pool.list({ names: true }));
  const silent = lists.filter(({ domains }) => domains === undefined);
  if (options.json) io.out(`${printableJson({ hosts: lists })}\n`);
  else io.out(tableOf(io, lists));
  for (const host of silent)
    io.err(`xen-domid: host ${host.host} did not answer (${'cause' in host ? host.cause : ''})\n`);
  if (lists.length === 0) io.err('xen-domid: the pool knows no host\n');
  return silent.length > 0 || lists.length === 0 ? ExitStatus.unavailable : ExitStatus.done;
}

function tableOf(io: Io, lists: readonly PoolList[]): string {
  const domains = lists.flatMap(({ host, domains: listed = [] }) =>
    listed.map((domain) => ({ host, ...domain })),
  );
  return formatTable(domains, { columns: io.columns(), colour: isColourWanted(io) });
}
