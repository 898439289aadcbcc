#!/usr/bin/env node
/**
 * The executable. `xen-domid lookup UUID` is asked here where all goes well, before any module of ours is loaded:
 * to load them takes longer than to ask. Whatever is not the plain case, or has no plain answer, goes to the command
 * line, which asks again and tells. No ES module, because to start their loader takes as long, too.
 */
const { existsSync, writeSync } = process.getBuiltinModule('node:fs');
const { createConnection } = process.getBuiltinModule('node:net');

const UUID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i;
const STDOUT = 1;
/** As long as a service that is not busy needs at most. */
const LONGEST_MS = 1000;
const MOST_REPLY = 4096;
/** As `domain.ts` and `service/client-socket-path.ts` have them. */
const DOMID_FIRST_RESERVED = 0x7ff0;
const DEFAULT_SOCKET = '/run/xen-domid/xen-domid.sock';

/** Where there is a Xen, a simulated host must not be taken for it. */
const PRIVCMD = '/dev/xen/privcmd';

/** Undefined unless the service says that it has found it. */
function domidOf(replies: string): number | undefined {
  try {
    const [version, answer] = replies
      .split('\n', 2)
      .map((line) => JSON.parse(line) as { id: unknown; result?: Record<string, unknown> })
      .toSorted((one, other) => Number(one.id) - Number(other.id));
    if (version?.id !== 0 || version.result === undefined) return undefined;
    if ((version.result['simulated'] ?? false) && existsSync(PRIVCMD)) return undefined;
    const { status, domid } = answer?.result ?? {};
    if (answer?.id !== 1 || status !== 'found' || typeof domid !== 'number') return undefined;
    const valid = Number.isInteger(domid) && domid >= 0 && domid < DOMID_FIRST_RESERVED;
    return valid ? domid : undefined;
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

function print(domid: number): boolean {
  try {
    writeSync(STDOUT, `${domid}\n`);
    return true;
  } catch {
    return false;
  }
}

function ask(path: string, uuid: string): void {
  let replies = '';
  let ended = false;
  const end = (): void => {
    if (ended) return;
    ended = true;
    socket.destroy();
    const domid = domidOf(replies);
    if (domid === undefined || !print(domid)) void runCommandLine();
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
  const params = JSON.stringify({ uuid: uuid.toLowerCase() });
  socket.write(
    `{"jsonrpc":"2.0","id":0,"method":"version"}\n{"jsonrpc":"2.0","id":1,"method":"domid","params":${params}}\n`,
  );
}

const [command, uuid = '', option, named, ...others] = process.argv.slice(2);
const plain = option === undefined || (option === '--socket' && (named ?? '') !== '');
if (command === 'lookup' && UUID.test(uuid) && plain && others.length === 0) {
  const environment = process.env['XEN_DOMID_SOCKET'] ?? '';
  ask(named ?? (environment === '' ? DEFAULT_SOCKET : environment), uuid);
} else {
  void runCommandLine();
}
