/** The connection to the NATS servers. Loads the two packages for it, which not every installation has. */
import { readFile } from 'node:fs/promises';
import type { KV, KvEntry, Kvm, KvWatchEntry } from '@nats-io/kv';
import type { ConnectionOptions, Msg, NatsConnection, Subscription } from '@nats-io/transport-node';
import { printable } from '../printable.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import type { PoolServers } from './servers.ts';

export type { KV, KvEntry, Kvm, KvWatchEntry, Msg, NatsConnection, Subscription };

/** The parts of the two packages that the pool uses. */
export interface NatsLibrary {
  readonly transport: typeof import('@nats-io/transport-node');
  readonly kv: typeof import('@nats-io/kv');
}

export interface NatsConnectOptions extends PoolServers {
  /** Shown by the servers' monitoring. */
  readonly name: string;
  /** How long to try to connect, ms. After that, a lost connection is made again without end. */
  readonly timeoutMs: number;
}

const PACKAGES = ['@nats-io/transport-node', '@nats-io/kv'];
/** A host without power is noticed after at most three of these, ms. */
const PING_MS = 10_000;
const RECONNECT_MS = 250;

/** @throws XenError `ERR_POOL_LIBRARY_MISSING`. */
export async function loadNats(): Promise<NatsLibrary> {
  try {
    const [transport, kv] = await Promise.all([
      import('@nats-io/transport-node'),
      import('@nats-io/kv'),
    ]);
    return { transport, kv };
  } catch (cause) {
    throw new XenError(
      ErrorCode.POOL_LIBRARY_MISSING,
      `the pool needs the packages ${PACKAGES.join(' and ')}, which are not installed: npm install ${PACKAGES.map((name) => `${name}@3`).join(' ')}`,
      { cause },
    );
  }
}

/**
 * Connects to one of the servers.
 * @throws XenError `ERR_POOL_UNREACHABLE`, `ERR_POOL_REFUSED`, `ERR_INVALID_OPTION`.
 */
export async function connectNats(
  { transport }: NatsLibrary,
  options: NatsConnectOptions,
): Promise<NatsConnection> {
  const { servers, name, timeoutMs, tlsCa, tlsCert, tlsKey } = options;
  checkServers(servers);
  const files = { caFile: tlsCa, certFile: tlsCert, keyFile: tlsKey };
  const tls = Object.fromEntries(
    Object.entries(files).filter(([, file]) => file !== undefined),
  ) as Record<string, string>;
  await Promise.all(Object.values(tls).map(readable));
  const connection: ConnectionOptions = {
    servers: [...servers],
    name,
    timeout: timeoutMs,
    ...(await credentials(transport, options.creds)),
    ...(Object.keys(tls).length > 0 && { tls }),
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_MS,
    reconnectJitter: RECONNECT_MS,
    pingInterval: PING_MS,
    maxPingOut: 2,
    // The credentials may be repaired at the servers while this process runs.
    ignoreAuthErrorAbort: true,
    // The stack of every request costs more than the request, and nobody reads it.
    noAsyncTraces: true,
  };
  try {
    return await transport.connect(connection);
  } catch (error) {
    throw connectError(servers, error as Error);
  }
}

function checkServers(servers: readonly string[]): void {
  if (servers.length === 0) {
    throw new XenError(
      ErrorCode.INVALID_OPTION,
      'no NATS server is named: give the URL of at least one, such as nats://10.0.0.1:4222 (--nats, XEN_DOMID_NATS)',
    );
  }
  for (const server of servers) {
    const isUrl = /^((nats|tls):\/\/)?(\[[\da-f:.]+\]|[\w.-]+)(:\d{1,5})?\/?$/i.test(server);
    if (isUrl) continue;
    const hasPassword = server.includes('@');
    const shown = hasPassword ? 'a URL with a password' : JSON.stringify(server.slice(0, 120));
    throw new XenError(
      ErrorCode.INVALID_OPTION,
      `${shown} is not the URL of a NATS server: expected nats://HOST:PORT or tls://HOST:PORT${hasPassword ? '; put USER:PASSWORD in a file, and name it by --creds' : ''}`,
    );
  }
}

async function readable(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const errno = (cause as NodeJS.ErrnoException).code ?? 'unknown';
    throw new XenError(
      ErrorCode.INVALID_OPTION,
      `${printable(path, 200)} cannot be read (${errno}): name a file that this user may read`,
      { cause, errno },
    );
  }
}

async function credentials(
  transport: NatsLibrary['transport'],
  path: string | undefined,
): Promise<Partial<ConnectionOptions>> {
  if (path === undefined) return {};
  const text = await readable(path);
  const bytes = new TextEncoder().encode(text);
  if (text.includes('BEGIN NATS USER JWT'))
    return { authenticator: transport.credsAuthenticator(bytes) };
  const line = text.trim();
  if (/^SU[A-Z2-7]{56}$/.test(line))
    return { authenticator: transport.nkeyAuthenticator(new TextEncoder().encode(line)) };
  const colon = line.indexOf(':');
  if (colon > 0 && !line.includes('\n'))
    return { user: line.slice(0, colon), pass: line.slice(colon + 1) };
  throw new XenError(
    ErrorCode.INVALID_OPTION,
    `${printable(path, 200)} holds no credentials for NATS: expected a .creds file, an nkey's seed (SU...), or one line USER:PASSWORD`,
  );
}

function connectError(servers: readonly string[], error: Error): XenError {
  const where = servers.join(', ');
  const text = printable(
    `${error.message} ${(error.cause as Error | undefined)?.message ?? ''}`,
    300,
  ).trim();
  // "Authentication Timeout": this process or the server was too slow to log in.
  if (/authoriz|authentic|permission/i.test(text) && !/timeout/i.test(text)) {
    return new XenError(
      ErrorCode.POOL_REFUSED,
      `the NATS servers at ${where} refuse the credentials (${text}): check the file of --creds, and the user in the servers' configuration`,
      { cause: error },
    );
  }
  const isTls = /certificate|tls|ssl/i.test(text);
  return new XenError(
    ErrorCode.POOL_UNREACHABLE,
    `no NATS server answers at ${where} (${text}): ${isTls ? 'check --tls-ca, and that the certificate names this host' : 'check the URL, and that nats-server runs there'}`,
    { cause: error },
  );
}
