#!/usr/bin/env node
/**
 * The executable. `xen-domid lookup UUID` is asked and answered here, before any module of ours is loaded: to load them
 * takes longer than to ask. Whatever is not the plain case, or has no plain answer, goes to the command line, which
 * asks again and tells. No ES module, because to start their loader takes as long, too.
 */
if ((process as Partial<NodeJS.Process>).getBuiltinModule === undefined) {
  process.stderr.write(`xen-domid needs Node 20.19 or newer; this is ${process.version}\n`);
  // Not Node's own 1 for an error: it would say that no domain has the UUID.
  process.exit(4);
}

const { existsSync, writeSync } = process.getBuiltinModule('node:fs');
const { createConnection } = process.getBuiltinModule('node:net');

const UUID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i;
const STDOUT = 1;
const STDERR = 2;
/** As long as a service that is not busy needs at most. */
const LONGEST_MS = 1000;
const MOST_REPLY = 65_536;
/** PIPE_BUF: what is longer may be written in part, and could not be left to the command line then. */
const MOST_AT_ONCE = 4096;
/** As `domain.ts` and `protocol/socket-path.ts` have them. */
const DOMID_FIRST_RESERVED = 0x7ff0;
const DEFAULT_SOCKET = '/run/xen-domid/xen-domid.sock';
/** As `cli/exit-status.ts` has them. */
const STATUS = { found: 0, notFound: 1, ambiguous: 3 } as const;

/** Where there is a Xen, a simulated host must not be taken for it. */
const PRIVCMD = '/dev/xen/privcmd';

interface Question {
  readonly uuid: string;
  readonly json: boolean;
  readonly path: string;
}

/** What is written, and where, and how the process ends. */
interface Answer {
  readonly text: string;
  readonly fd: number;
  readonly status: number;
}

type Fields = Readonly<Record<string, unknown>>;

const isDomid = (value: unknown): boolean =>
  Number.isInteger(value) && Number(value) >= 0 && Number(value) < DOMID_FIRST_RESERVED;
const isFlag = (value: unknown): boolean => typeof value === 'boolean';
const isAmount = (value: unknown): boolean => typeof value === 'number' && value >= 0;
const isTextOf =
  (pattern: RegExp) =>
  (value: unknown): boolean =>
    value === undefined || (typeof value === 'string' && pattern.test(value));

/** As `protocol/decode.ts` reads them. */
const DOMAIN_FIELDS: Readonly<Record<string, (value: unknown, uuid: string) => boolean>> = {
  domid: isDomid,
  uuid: (value, uuid) => value === uuid,
  dying: isFlag,
  shutdown: isFlag,
  shutdownReason: isTextOf(/^(poweroff|reboot|suspend|crash|watchdog|soft_reset|unknown-\d{1,3})$/),
  paused: isFlag,
  blocked: isFlag,
  running: isFlag,
  hvm: isFlag,
  vcpus: isAmount,
  memoryBytes: isAmount,
  maxMemoryBytes: isAmount,
  cpuTimeSeconds: isAmount,
  ssidref: isAmount,
  cpupool: isAmount,
  uniqueId: isTextOf(/^\d{1,20}$/),
};
const SOURCE = /^(cache|next|xenstore|list)$/;

/** Its known fields; undefined unless all of them can be. */
function domainOf(value: unknown, uuid: string): object | undefined {
  const fields = value as Fields;
  const checks = Object.entries(DOMAIN_FIELDS);
  if (!checks.every(([name, isRight]) => isRight(fields[name], uuid))) return undefined;
  return Object.fromEntries(checks.map(([name]) => [name, fields[name]]));
}

function plainAnswer(result: Fields, { uuid }: Question): Answer | undefined {
  const { status, domid, domids } = result;
  if (status === 'found' && isDomid(domid))
    return { text: `${Number(domid)}\n`, fd: STDOUT, status: STATUS.found };
  if (status === 'notFound') {
    const text = `xen-domid: no domain has the UUID ${uuid}\n`;
    return { text, fd: STDERR, status: STATUS.notFound };
  }
  if (status !== 'ambiguous' || !Array.isArray(domids)) return undefined;
  if (domids.length < 2 || !domids.every(isDomid)) return undefined;
  const text = `xen-domid: more than one domain has the UUID ${uuid}: domids ${domids.join(', ')}\n`;
  return { text, fd: STDERR, status: STATUS.ambiguous };
}

function jsonAnswer(result: Fields, { uuid }: Question): Answer | undefined {
  const { status, source, domains } = result;
  const answer = (plain: object, exit: number): Answer => ({
    text: `${JSON.stringify({ uuid, ...plain })}\n`,
    fd: STDOUT,
    status: exit,
  });
  if (status === 'notFound') return answer({ status }, STATUS.notFound);
  if (status === 'found') {
    const domain = domainOf(result['domain'], uuid);
    if (domain === undefined || typeof source !== 'string' || !SOURCE.test(source))
      return undefined;
    return answer({ status, domain, source }, STATUS.found);
  }
  if (status !== 'ambiguous' || !Array.isArray(domains) || domains.length < 2) return undefined;
  const holders = domains.map((domain) => domainOf(domain, uuid));
  return holders.includes(undefined)
    ? undefined
    : answer({ status, domains: holders }, STATUS.ambiguous);
}

/** Undefined unless the service answers in one of the ways that it mostly does. */
function answerOf(replies: string, question: Question): Answer | undefined {
  try {
    const [version, answer] = replies
      .split('\n', 2)
      .map((line) => JSON.parse(line) as { id: unknown; result?: Fields })
      .toSorted((one, other) => Number(one.id) - Number(other.id));
    if (version?.id !== 0 || version.result === undefined) return undefined;
    if ((version.result['simulated'] ?? false) && existsSync(PRIVCMD)) return undefined;
    if (answer?.id !== 1 || answer.result === undefined) return undefined;
    return question.json
      ? jsonAnswer(answer.result, question)
      : plainAnswer(answer.result, question);
  } catch {
    return undefined;
  }
}

async function runCommandLine(): Promise<void> {
  const [{ main }, { processIo }] = await Promise.all([
    import('./main.ts'),
    import('./process-io.ts'),
  ]);
  process.exitCode = await main(process.argv.slice(2), processIo);
}

function tell({ text, fd, status }: Answer): boolean {
  if (text.length > MOST_AT_ONCE) return false;
  try {
    writeSync(fd, text);
    process.exitCode = status;
    return true;
  } catch {
    return false;
  }
}

function ask(question: Question): void {
  const { uuid, json, path } = question;
  let replies = '';
  let ended = false;
  const end = (): void => {
    if (ended) return;
    ended = true;
    socket.destroy();
    const answer = answerOf(replies, question);
    if (answer === undefined || !tell(answer)) void runCommandLine();
  };
  const socket = createConnection({ path })
    .setTimeout(LONGEST_MS, end)
    .setEncoding('utf8')
    .on('error', end)
    .on('end', end)
    .on('data', (text: string) => {
      replies += text;
      if (replies.length > MOST_REPLY || replies.split('\n').length > 2) end();
    });
  const method = json ? 'lookup' : 'domid';
  socket.write(
    `{"jsonrpc":"2.0","id":0,"method":"version"}\n{"jsonrpc":"2.0","id":1,"method":"${method}","params":{"uuid":"${uuid}"}}\n`,
  );
}

/** Undefined for all that is not one UUID, with `--json` and `--socket` at most. */
function questionOf([command, ...rest]: readonly string[]): Question | undefined {
  if (command !== 'lookup') return undefined;
  const environment = process.env['XEN_DOMID_SOCKET'] ?? '';
  let path = environment === '' ? DEFAULT_SOCKET : environment;
  let json = false;
  let uuid = '';
  for (let at = 0; at < rest.length; at++) {
    const word = rest[at] as string;
    if (word === '--json') json = true;
    else if (word === '--socket' && (rest[at + 1] ?? '') !== '') path = rest[++at] as string;
    else if (UUID.test(word) && uuid === '') uuid = word.toLowerCase();
    else return undefined;
  }
  return uuid === '' ? undefined : { uuid, json, path };
}

const question = questionOf(process.argv.slice(2));
if (question === undefined) void runCommandLine();
else ask(question);
