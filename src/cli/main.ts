/** The command line: parses the arguments, runs one command, and turns an error into a message and an exit status. */
import { ErrorCode, XenError } from '../xen-error.ts';
import {
  type Arguments,
  type CommandName,
  COMMANDS,
  isCommand,
  parseArguments,
  unknownCommand,
  UsageError,
} from './arguments.ts';
import { lookup } from './commands/lookup.ts';
import { ExitStatus } from './exit-status.ts';
import type { Io } from './io.ts';
import { errorText } from './terminal/error-text.ts';
import { printableJson } from '../printable.ts';

export async function main(argv: readonly string[], io: Io): Promise<ExitStatus> {
  let json = argv.includes('--json');
  try {
    const args = parseArguments(argv);
    ({ json } = args.options);
    return await run(args, io);
  } catch (error) {
    const usage = error instanceof UsageError || isInvalidUuid(error);
    io.err(json ? asJson(error) : `xen-domid: ${asText(error)}\n`);
    if (usage && !json) io.err(`Try: xen-domid ${commandOf(argv)}--help\n`);
    // An unexpected error must not end with 1, which says that no domain has the UUID.
    return usage ? ExitStatus.usage : ExitStatus.unavailable;
  }
}

/** Imports `lookup` statically, because its start-up time counts, and each other command only when it runs. */
async function run({ command, operands, options }: Arguments, io: Io): Promise<ExitStatus> {
  if (options.version) {
    io.out(`${(await import('../package-version.ts')).packageVersion()}\n`);
    return ExitStatus.done;
  }
  if (options.help) {
    return help(io, command);
  }
  if (command === '') throw new UsageError(`expected a command: ${COMMANDS}`);
  if (command === 'lookup') {
    if (operands.length > 0) return lookup(io, operands, options);
    throw new UsageError('lookup needs a UUID, or - to read UUIDs from standard input');
  }
  if (command === 'wait') {
    const [uuid, ...others] = operands;
    if (uuid === undefined || others.length > 0) throw new UsageError('wait takes one UUID');
    return (await import('./commands/wait.ts')).wait(io, uuid, options);
  }
  if (command === 'table') {
    const [path, ...others] = operands;
    if (others.length > 0) throw new UsageError('table takes one path');
    return (await import('./commands/table.ts')).table(io, path, options);
  }
  if (command === 'list') return (await import('./commands/list.ts')).list(io, operands, options);
  if (command === 'help') return help(io, commandToDescribe(operands));
  if (command === 'completion') {
    return (await import('./commands/completion.ts')).completion(io, operands);
  }
  if (command === 'pool') return (await import('./pool/pool.ts')).pool(io, operands, options);
  if (operands.length > 0) throw new UsageError(`${command} takes no argument`);
  switch (command) {
    case 'serve':
      return (await import('./commands/serve.ts')).serve(io, options);
    case 'watch':
      return (await import('./commands/watch.ts')).watch(io, options);
    case 'stats':
      return (await import('./commands/stats.ts')).stats(io, options);
    default:
      return (await import('./commands/storm.ts')).storm(io, options);
  }
}

async function help(io: Io, command: CommandName | ''): Promise<ExitStatus> {
  io.out((await import('./help/text.ts')).helpText(command, io.columns()));
  return ExitStatus.done;
}

/** @throws UsageError */
function commandToDescribe([command = '', ...others]: readonly string[]): CommandName | '' {
  if (others.length > 0) throw new UsageError('help takes one command, for example: help lookup');
  if (command === '' || isCommand(command)) return command;
  throw unknownCommand(command);
}

/** The command to show the help of, with a space behind it. */
function commandOf([command = '']: readonly string[]): string {
  return command !== '' && isCommand(command) ? `${command} ` : '';
}

function isInvalidUuid(error: unknown): boolean {
  return error instanceof XenError && error.code === ErrorCode.INVALID_UUID;
}

function asText(error: unknown): string {
  if (error instanceof XenError || error instanceof UsageError) return errorText(error);
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function asJson(error: unknown): string {
  const { message } = error as Error;
  const code = error instanceof XenError ? error.code : undefined;
  return `${printableJson({ error: { ...(code !== undefined && { code }), message } })}\n`;
}
