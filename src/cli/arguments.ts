/** Parses the command line: one command, its operands, and the options that it takes. */
import { parseArgs } from 'node:util';
import { printableJson } from '../printable.ts';

/** A mistake in the command line. Ends with exit status 2. */
export class UsageError extends Error {}

/** The options of all commands. `help/options.ts` describes them. */
export const OPTIONS = {
  bucket: { type: 'string' },
  creds: { type: 'string' },
  direct: { type: 'boolean', default: false },
  'domain-metrics': { type: 'boolean', default: false },
  domid: { type: 'string', multiple: true },
  exec: { type: 'string' },
  for: { type: 'string' },
  group: { type: 'string' },
  host: { type: 'string' },
  help: { type: 'boolean', default: false, short: 'h' },
  json: { type: 'boolean', default: false },
  metrics: { type: 'string' },
  nats: { type: 'string' },
  'no-table': { type: 'boolean', default: false },
  replicas: { type: 'string' },
  simulate: { type: 'string' },
  simulated: { type: 'boolean', default: false },
  since: { type: 'string' },
  socket: { type: 'string' },
  sort: { type: 'string' },
  table: { type: 'string' },
  timeout: { type: 'string' },
  'tls-ca': { type: 'string' },
  'tls-cert': { type: 'string' },
  'tls-key': { type: 'string' },
  uuid: { type: 'string' },
  version: { type: 'boolean', default: false, short: 'V' },
  vms: { type: 'string' },
  watch: { type: 'boolean', default: false },
} as const;

export type OptionName = keyof typeof OPTIONS;

export type CommandName =
  | 'lookup'
  | 'wait'
  | 'list'
  | 'watch'
  | 'stats'
  | 'table'
  | 'serve'
  | 'pool'
  | 'storm'
  | 'completion'
  | 'help';

/** Most VMs of a simulated host. The other domids are for VMs that boot before others are gone. */
export const SIMULATED_VMS_MAX = 30_000;
/** VMs of a storm, by default. */
export const STORM_VMS = 1000;
/** The keys of `list --sort`. */
export const SORT_KEYS = ['domid', 'name', 'uuid', 'memory', 'vcpus', 'time'] as const;
/** The shells of `completion`. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** The options of each command, in addition to `--help` and `--version`. `help/pages.ts` describes the commands. */
export const OPTIONS_OF: Readonly<Record<CommandName, readonly OptionName[]>> = {
  lookup: ['json', 'socket', 'direct', 'simulated'],
  wait: ['for', 'timeout', 'json', 'socket', 'simulated'],
  list: ['domid', 'watch', 'sort', 'json', 'socket', 'direct', 'simulated'],
  watch: ['uuid', 'since', 'exec', 'json', 'socket', 'simulated'],
  stats: ['json', 'socket', 'simulated'],
  table: ['json'],
  serve: ['socket', 'group', 'metrics', 'domain-metrics', 'table', 'no-table', 'simulate'],
  // Each command of the pool checks its own.
  pool: [
    'nats',
    'creds',
    'tls-ca',
    'tls-cert',
    'tls-key',
    'bucket',
    'json',
    'host',
    'replicas',
    'metrics',
    'socket',
    'simulated',
  ],
  storm: ['vms', 'json'],
  completion: [],
  help: [],
};

export const COMMAND_NAMES: readonly CommandName[] = Object.keys(OPTIONS_OF) as CommandName[];

/** The names of all commands, for an error message. */
export const COMMANDS: string = COMMAND_NAMES.join(', ').replace(/, (?=\w+$)/, ' or ');

export interface Arguments {
  readonly command: CommandName | '';
  readonly operands: readonly string[];
  readonly options: OptionValues;
}

export interface OptionValues {
  readonly bucket?: string;
  readonly creds?: string;
  readonly direct: boolean;
  readonly 'domain-metrics': boolean;
  readonly domid?: readonly string[];
  readonly exec?: string;
  readonly for?: string;
  readonly group?: string;
  readonly help: boolean;
  readonly host?: string;
  readonly json: boolean;
  readonly metrics?: string;
  readonly nats?: string;
  readonly 'no-table': boolean;
  readonly replicas?: string;
  readonly simulate?: string;
  readonly simulated: boolean;
  readonly since?: string;
  readonly socket?: string;
  readonly sort?: string;
  readonly table?: string;
  readonly timeout?: string;
  readonly uuid?: string;
  readonly 'tls-ca'?: string;
  readonly 'tls-cert'?: string;
  readonly 'tls-key'?: string;
  readonly version: boolean;
  readonly vms?: string;
  readonly watch: boolean;
}

/** @throws UsageError */
export function parseArguments(argv: readonly string[]): Arguments {
  const { values, positionals } = parse(argv);
  const [command = '', ...operands] = positionals;
  if (command !== '' && !isCommand(command)) {
    throw unknownCommand(command);
  }
  const options = values as OptionValues;
  if (command !== '' && !options.help && !options.version) checkOptions(command, options);
  return { command, operands, options };
}

export function unknownCommand(command: string): UsageError {
  return new UsageError(`unknown command ${printableJson(command)}, expected ${COMMANDS}`);
}

/** Parses a whole number from `min` to `max`. @throws UsageError for anything else. */
export function parseCount(option: string, text: string, min: number, max: number): number {
  const count = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (count >= min && count <= max) return count;
  throw new UsageError(`${option} needs a whole number from ${min} to ${max}`);
}

/** Not strict: Node's own messages in strict mode address programmers, and differ between its versions. */
function parse(argv: readonly string[]): { values: object; positionals: string[] } {
  const parsed = parseArgs({
    args: [...argv],
    options: OPTIONS,
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  const seen = new Map<string, string>();
  for (const token of parsed.tokens) {
    if (token.kind !== 'option') continue;
    checkOption(token);
    checkOnce(token, seen);
  }
  return parsed;
}

interface OptionToken {
  readonly name: string;
  /** As typed, with its dashes. */
  readonly rawName: string;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}

function checkOption({ name, rawName, value, inlineValue }: OptionToken): void {
  if (!isOption(name)) throw new UsageError(`unknown option ${rawName}`);
  if (OPTIONS[name].type === 'boolean') {
    if (value !== undefined) throw new UsageError(`${rawName} takes no value`);
  } else if (value === undefined || value === '') {
    throw new UsageError(`${rawName} needs a value`);
  } else if (/^-./.test(value) && inlineValue !== true) {
    // Probably the next option, and the value was forgotten.
    throw new UsageError(`${rawName} needs a value; to pass ${value}, write ${rawName}=${value}`);
  }
}

/** @param seen the values of the options before this one, by name. */
function checkOnce({ name, rawName, value }: OptionToken, seen: Map<string, string>): void {
  if (value === undefined || 'multiple' in OPTIONS[name as OptionName]) return;
  const first = seen.get(name);
  if (first !== undefined) {
    const both = `${printableJson(first)} and ${printableJson(value)}`;
    throw new UsageError(`${rawName} is given twice, with ${both}: leave one out`);
  }
  seen.set(name, value);
}

function isOption(name: string): name is OptionName {
  return Object.hasOwn(OPTIONS, name);
}

export function isCommand(text: string): text is CommandName {
  return Object.hasOwn(OPTIONS_OF, text);
}

function checkOptions(command: CommandName, options: OptionValues): void {
  const own: readonly string[] = OPTIONS_OF[command];
  for (const [name, value] of Object.entries(options)) {
    if (value === false || own.includes(name)) continue;
    throw new UsageError(`${command} has no option --${name}`);
  }
}
