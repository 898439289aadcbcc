/** The command line: reads the arguments, runs one command, turns what went wrong into words and a status. */
import { ErrorCode, XenError } from '../xen-error.ts';
import { type Arguments, isCommand, parseArguments, UsageError } from './arguments.ts';
import { errorText } from './terminal/error-text.ts';
import { ExitStatus } from './exit-status.ts';
import type { Io } from './io.ts';
import { printableJson } from './terminal/printable.ts';

export async function main(argv: readonly string[], io: Io): Promise<ExitStatus> {
  let json = argv.includes('--json');
  try {
    const args = parseArguments(argv);
    ({ json } = args.options);
    return await run(args, io);
  } catch (error) {
    const usage = error instanceof UsageError || isInvalidInput(error);
    io.err(json ? asJson(error) : `xen-domid: ${asText(error)}\n`);
    if (usage && !json) io.err(`Try: xen-domid ${helpedBy(argv)}--help\n`);
    // Nothing unforeseen may look like 1, which says that no domain has the UUID.
    return usage ? ExitStatus.usage : ExitStatus.unavailable;
  }
}

/** Each command is loaded only where it is asked for: one question shall be answered while Node still starts. */
async function run({ command, operands, options }: Arguments, io: Io): Promise<ExitStatus> {
  if (options.version) {
    io.out(`${(await import('../package-version.ts')).packageVersion()}\n`);
    return ExitStatus.done;
  }
  if (options.help) {
    io.out((await import('./help.ts')).HELP[command]);
    return ExitStatus.done;
  }
  if (command === '') {
    throw new UsageError('a command is wanted: serve, lookup, list, watch, stats or storm');
  }
  if (command === 'lookup') {
    if (operands.length === 0) throw new UsageError('lookup wants a UUID, or - to read them');
    return (await import('./commands/lookup.ts')).lookup(io, operands, options);
  }
  if (operands.length > 0) throw new UsageError(`${command} takes no argument`);
  switch (command) {
    case 'list':
      return (await import('./commands/list.ts')).list(io, options);
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

/** The command whose help has what was wanted. */
function helpedBy([command = '']: readonly string[]): string {
  return command !== '' && isCommand(command) ? `${command} ` : '';
}

function isInvalidInput(error: unknown): boolean {
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
