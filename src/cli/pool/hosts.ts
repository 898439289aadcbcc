/** `xen-domid pool hosts`: prints the hosts of the pool, and whether they answer. */
import type { PoolHost } from '../../pool/pool.ts';
import type { OptionValues } from '../arguments.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { printableJson } from '../../printable.ts';
import { askPool } from './connect.ts';

const HEAD = ['Host', 'State', 'VMs', 'Xen', 'Version', 'Age(s)'];

export async function hosts(io: Io, options: OptionValues): Promise<ExitStatus> {
  const all = await askPool(io, options, (pool) => pool.hosts());
  if (options.json) io.out(`${printableJson({ hosts: all })}\n`);
  else io.out(tableOf([HEAD, ...all.map(rowOf)]));
  return all.every(({ answers }) => answers) ? ExitStatus.done : ExitStatus.unavailable;
}

function rowOf(host: PoolHost): string[] {
  const { answers, cause, domains, xen = '-', version = '-', ageMs } = host;
  return [
    host.host,
    answers ? 'answers' : `silent (${cause ?? ''})`,
    domains === undefined ? '-' : String(domains),
    xen,
    version,
    ageMs === undefined ? '-' : (ageMs / 1000).toFixed(1),
  ];
}

function tableOf(rows: readonly (readonly string[])[]): string {
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map(
      (row) =>
        `${row
          .map((text, column) => text.padEnd(widths[column] ?? 0))
          .join(' ')
          .trimEnd()}\n`,
    )
    .join('');
}
