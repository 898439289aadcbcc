/** Domains as a table, with the columns of `xl list -v` and the UUID. */
import type { Domain } from '../domain.ts';
import { printable } from './printable.ts';

const MIB = 2 ** 20;
const NAME_WIDTH = 40;

/** The letters of `xl list`: running, blocked, paused, shut down, crashed, dying. */
function stateLetters(domain: Domain): string {
  const letters: [boolean, string][] = [
    [domain.running, 'r'],
    [domain.blocked, 'b'],
    [domain.paused, 'p'],
    [domain.shutdown, 's'],
    [domain.shutdownReason === 'crash', 'c'],
    [domain.dying, 'd'],
  ];
  return letters.map(([is, letter]) => (is ? letter : '-')).join('');
}

function row(name: string, id: string, mem: string, vcpus: string, ...rest: string[]): string {
  const [state = '', time = '', uuid = '', reason = ''] = rest;
  return `${name.padEnd(NAME_WIDTH)} ${id.padStart(5)} ${mem.padStart(7)} ${vcpus.padStart(5)} ${state.padStart(7)} ${time.padStart(9)} ${uuid.padEnd(36)} ${reason}`.trimEnd();
}

/** Memory in MiB, CPU time in seconds, as `xl` gives them. */
export function formatTable(
  domains: readonly Domain[],
  names: ReadonlyMap<number, string>,
): string {
  const lines = domains.map((domain) =>
    row(
      printable(names.get(domain.domid) ?? '-'),
      String(domain.domid),
      String(Math.floor(domain.memoryBytes / MIB)),
      String(domain.vcpus),
      stateLetters(domain),
      domain.cpuTimeSeconds.toFixed(1),
      domain.uuid,
      domain.shutdownReason ?? '-',
    ),
  );
  const head = row('Name', 'ID', 'Mem', 'VCPUs', 'State', 'Time(s)', 'UUID', 'Reason');
  return `${[head, ...lines].join('\n')}\n`;
}
