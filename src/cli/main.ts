/** The command line: reads the arguments, runs one command, turns what went wrong into words and a status. */
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import { ErrorCode, XenError } from '../xen-error.ts';
import { ExitStatus } from './exit-status.ts';
import { HELP } from './help.ts';
import type { Io } from './io.ts';

class UsageError extends Error {}

const OPTIONS = {
  direct: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false, short: 'h' },
  version: { type: 'boolean', default: false },
} as const;

type Arguments = ReturnType<typeof parse>;

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    // Node's own message goes on about how to pass such a text as a positional argument.
    throw new UsageError((error as Error).message.split('. ')[0]);
  }
}

export async function main(argv: readonly string[], io: Io): Promise<ExitStatus> {
  let json = argv.includes('--json');
  try {
    const args = parse(argv);
    json = args.values.json;
    return await run(args, io);
  } catch (error) {
    const usage = error instanceof UsageError || isInvalidInput(error);
    io.err(json ? asJson(error) : `xen-domid: ${asText(error)}\n`);
    if (usage && !json) io.err('Try: xen-domid --help\n');
    // Nothing unforeseen may look like 1, which says that no domain has the UUID.
    return usage ? ExitStatus.usage : ExitStatus.unavailable;
  }
}

async function run({ values, positionals }: Arguments, io: Io): Promise<ExitStatus> {
  const [command = '', ...rest] = positionals;
  if (values.version) {
    io.out(`${packageVersion()}\n`);
    return ExitStatus.done;
  }
  if (command !== '' && command !== 'lookup' && command !== 'list') {
    throw new UsageError(`there is no command ${JSON.stringify(command)}`);
  }
  if (values.help) {
    io.out(HELP[command]);
    return ExitStatus.done;
  }
  if (command === '') throw new UsageError('a command is wanted: lookup or list');
  if (command === 'lookup' && rest.length === 0) throw new UsageError('lookup wants a UUID');
  if (command === 'list' && rest.length > 0) throw new UsageError('list takes no argument');
  if (!values.direct)
    throw new UsageError(`${command} needs --direct: there is no daemon to ask yet`);
  if (command === 'lookup') return (await import('./lookup.ts')).lookup(io, rest, values);
  return (await import('./list.ts')).list(io, values);
}

function isInvalidInput(error: unknown): boolean {
  return error instanceof XenError && error.code === ErrorCode.INVALID_UUID;
}

function asText(error: unknown): string {
  if (error instanceof XenError || error instanceof UsageError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function asJson(error: unknown): string {
  const { message } = error as Error;
  const code = error instanceof XenError ? error.code : undefined;
  return `${JSON.stringify({ error: { ...(code !== undefined && { code }), message } })}\n`;
}

function packageVersion(): string {
  const manifest = createRequire(import.meta.url)('xen-domid/package.json') as { version: string };
  return manifest.version;
}
