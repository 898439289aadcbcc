/** What may stand on the command line, and with which command. */
import { parseArgs } from 'node:util';
import { printableJson } from './printable.ts';

export class UsageError extends Error {}

const OPTIONS = {
  direct: { type: 'boolean', default: false },
  group: { type: 'string' },
  help: { type: 'boolean', default: false, short: 'h' },
  json: { type: 'boolean', default: false },
  metrics: { type: 'string' },
  simulate: { type: 'string' },
  simulated: { type: 'boolean', default: false },
  socket: { type: 'string' },
  sort: { type: 'string' },
  version: { type: 'boolean', default: false },
  vms: { type: 'string' },
} as const;

export type CommandName = 'serve' | 'lookup' | 'list' | 'watch' | 'stats' | 'storm';

type OptionName = keyof typeof OPTIONS;

/** The options of each command, beside `--help`, `--version` and `--json`. */
const OPTIONS_OF: Readonly<Record<CommandName, readonly OptionName[]>> = {
  serve: ['socket', 'group', 'simulate', 'metrics'],
  lookup: ['socket', 'direct', 'simulated'],
  list: ['socket', 'direct', 'simulated', 'sort'],
  watch: ['socket', 'simulated'],
  stats: ['socket', 'simulated'],
  storm: ['vms'],
};

export interface Arguments {
  readonly command: CommandName | '';
  readonly operands: readonly string[];
  readonly options: OptionValues;
}

export interface OptionValues {
  readonly direct: boolean;
  readonly group?: string;
  readonly help: boolean;
  readonly json: boolean;
  readonly metrics?: string;
  readonly simulate?: string;
  readonly simulated: boolean;
  readonly socket?: string;
  readonly sort?: string;
  readonly version: boolean;
  readonly vms?: string;
}

/** @throws UsageError */
export function parseArguments(argv: readonly string[]): Arguments {
  const { values, positionals } = parse(argv);
  const [command = '', ...operands] = positionals;
  if (command !== '' && !isCommand(command)) {
    throw new UsageError(`there is no command ${printableJson(command)}`);
  }
  const options = values as OptionValues;
  if (command !== '' && !options.help && !options.version) checkOptions(command, options);
  return { command, operands, options };
}

/** @throws UsageError unless `text` is a whole number within these bounds. */
export function parseCount(option: string, text: string, least: number, most: number): number {
  const count = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (count >= least && count <= most) return count;
  throw new UsageError(`${option} wants a whole number of ${least} to ${most}`);
}

function parse(argv: readonly string[]): { values: object; positionals: string[] } {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    // Node's own message goes on about how to pass such a text as a positional argument.
    throw new UsageError((error as Error).message.split('. ')[0]);
  }
}

function isCommand(text: string): text is CommandName {
  return Object.hasOwn(OPTIONS_OF, text);
}

function checkOptions(command: CommandName, options: OptionValues): void {
  const own: readonly string[] = OPTIONS_OF[command];
  for (const [name, value] of Object.entries(options)) {
    if (value === false || name === 'json' || own.includes(name)) continue;
    throw new UsageError(`${command} has no option --${name}`);
  }
}
