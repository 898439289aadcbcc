/** `xen-domid pool`: its commands, and the options that each of them takes. */
import { type OptionValues, UsageError } from '../arguments.ts';
import type { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { printableJson } from '../../printable.ts';

type OptionName = keyof OptionValues;

/** The options of every command of the pool. */
const COMMON: readonly OptionName[] = [
  'bucket',
  'creds',
  'json',
  'nats',
  'tls-ca',
  'tls-cert',
  'tls-key',
];
const OF_SERVE: readonly OptionName[] = ['host', 'metrics', 'replicas', 'simulated', 'socket'];

/** Most operands of each command. */
const OPERANDS: Readonly<Record<string, number>> = {
  serve: 0,
  lookup: Infinity,
  list: 0,
  hosts: 0,
  watch: 0,
  forget: 1,
};
const COMMANDS = Object.keys(OPERANDS)
  .join(', ')
  .replace(/, (?=\w+$)/, ' or ');

export async function pool(
  io: Io,
  [command, ...operands]: readonly string[],
  options: OptionValues,
): Promise<ExitStatus> {
  if (command === undefined) throw new UsageError(`pool needs a command: ${COMMANDS}`);
  const most = Object.hasOwn(OPERANDS, command) ? OPERANDS[command] : undefined;
  if (most === undefined)
    throw new UsageError(`unknown command pool ${printableJson(command)}, expected ${COMMANDS}`);
  checkOptions(command, options);
  if (operands.length > most) throw new UsageError(`pool ${command} takes fewer arguments`);
  switch (command) {
    case 'serve':
      return (await import('./serve.ts')).serve(io, options);
    case 'lookup':
      return (await import('./lookup.ts')).lookup(io, operands, options);
    case 'list':
      return (await import('./list.ts')).list(io, options);
    case 'hosts':
      return (await import('./hosts.ts')).hosts(io, options);
    case 'watch':
      return (await import('./watch.ts')).watch(io, options);
    default:
      return (await import('./forget.ts')).forget(io, operands, options);
  }
}

function checkOptions(command: string, options: OptionValues): void {
  for (const [name, value] of Object.entries(options)) {
    const isKnown =
      COMMON.includes(name as OptionName) ||
      (command === 'serve' && OF_SERVE.includes(name as OptionName));
    if (value === false || isKnown) continue;
    throw new UsageError(`pool ${command} has no option --${name}`);
  }
}
