/**
 * Claims a path for the socket. Two daemons started at once, a socket left by a killed one, and a foreign file at the path
 * all end with one listener, or with an error that names the file.
 *
 * This module binds the socket itself, under its own name: systemd-tmpfiles keeps the sockets whose names the kernel shows
 * as bound, and libuv, which unlinks the name that it bound, never unlinks the socket of a later daemon. The socket does not
 * listen, and refuses connections, until it has its mode and its group. The lock is flock's, because the kernel releases it
 * however the process ends. The lock file stays: if it were unlinked, two processes could hold locks on two files of that name.
 */
import {
  closeSync,
  constants,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  statSync,
  unlinkSync,
  type Stats,
} from 'node:fs';
import { connect, type Server } from 'node:net';
import { dirname, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { getSystemErrorName } from 'node:util';
import { SOCKET_PATH_BYTES_MAX } from '../../protocol/socket-path.ts';
import { cannotGive, groupId } from '../../group-id.ts';
import { ErrorCode, XenError } from '../../xen-error.ts';
import { libc } from './libc.ts';

const LOCK_TRIES = 100;
const LOCK_WAIT_MS = 20;
/** Leaves reading and writing to owner and group. */
const SOCKET_UMASK = 0o117;
const DIRECTORY_MODE = 0o755;
const WRITABLE_BY_OTHERS = 0o022;
const BACKLOG = 1024;

export interface SocketClaim {
  /** Whether the path leads to the claimed socket, to nothing, or to something else. */
  state(): 'ours' | 'removed' | 'replaced';
  /** Unlinks the socket if it is still the claimed one. */
  release(): Promise<void>;
}

/**
 * Makes `server` listen at `path`.
 * @param group name or number of the group that may connect, besides the owner.
 * @throws XenError `ERR_SOCKET_IN_USE` if a live daemon listens there, `ERR_SOCKET_REFUSED` if a file is there that must
 *   not be replaced, or the path cannot be used.
 */
export async function listenAt(
  server: Server,
  path: string,
  group: string | undefined,
): Promise<SocketClaim> {
  try {
    const target = resolve(path);
    checkLength(target);
    const gid = group === undefined ? undefined : groupId(group, ErrorCode.SOCKET_REFUSED);
    makeDirectoryFor(target);
    return await underLock(target, () => claimSocket(server, target, gid, group));
  } catch (error) {
    server.close();
    throw error;
  }
}

async function claimSocket(
  server: Server,
  target: string,
  gid: number | undefined,
  group: string | undefined,
): Promise<SocketClaim> {
  if (await mayReplace(target)) unlinkIfThere(target);
  const fd = await bindUnderUmask(target);
  const claimed = lstatSync(target);
  const state = (): ReturnType<SocketClaim['state']> => stateOf(target, claimed);
  try {
    if (gid !== undefined) own(target, gid, group as string);
    await listenOnFd(server, fd);
  } catch (cause) {
    if (!server.listening) closeSync(fd);
    if (state() === 'ours') unlinkIfThere(target);
    throw cause instanceof XenError ? cause : refusedBySystem(target, 'no listening', cause);
  }
  return { state, release: () => release(target, state) };
}

function refused(path: string, why: string, cause?: unknown): XenError {
  return new XenError(ErrorCode.SOCKET_REFUSED, `${path} cannot be the socket: ${why}`, { cause });
}

function checkLength(path: string): void {
  const length = Buffer.byteLength(path);
  if (length > SOCKET_PATH_BYTES_MAX)
    throw refused(
      path,
      `a socket path may have ${SOCKET_PATH_BYTES_MAX} bytes, this one has ${length}`,
    );
}

/** Returns an error for a refusal of the system, with a hint if permission is missing, as in /run for users other than root. */
function refusedBySystem(path: string, what: string, cause: unknown): XenError {
  const errno = errnoOf(cause);
  const denied = errno === 'EACCES' || errno === 'EPERM';
  const hint = denied ? ': run as root, or name another socket by --socket PATH' : '';
  return refused(path, `${what} (${errno})${hint}`, cause);
}

function makeDirectoryFor(target: string): void {
  const directory = dirname(target);
  const before = process.umask(0o022);
  try {
    mkdirSync(directory, { recursive: true, mode: DIRECTORY_MODE });
  } catch (cause) {
    throw refusedBySystem(target, `its directory ${directory} cannot be created`, cause);
  } finally {
    process.umask(before);
  }
}

async function underLock<T>(target: string, run: () => Promise<T>): Promise<T> {
  const lock = `${target}.lock`;
  let fd: number;
  try {
    fd = openSync(lock, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  } catch (cause) {
    throw refusedBySystem(target, `its lock ${lock} cannot be opened`, cause);
  }
  try {
    const system = await libc();
    for (let tries = 1; !system.tryLock(fd); tries++) {
      if (tries === LOCK_TRIES) {
        throw new XenError(
          ErrorCode.SOCKET_IN_USE,
          `another process has held ${lock} for ${(LOCK_TRIES * LOCK_WAIT_MS) / 1000} s: it is about to listen on ${target}, or it hangs`,
        );
      }
      // oxlint-disable-next-line no-await-in-loop -- until the lock is free
      await sleep(LOCK_WAIT_MS);
    }
    return await run();
  } finally {
    closeSync(fd);
  }
}

/** @returns whether a dead socket of this user must be replaced; false if there is no file. */
async function mayReplace(path: string): Promise<boolean> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return false;
  if (!found.isSocket()) {
    throw refused(
      path,
      `there is ${kindOf(found)}, which is not replaced: remove it, or name another path by --socket`,
    );
  }
  const uid = process.getuid?.();
  if (found.uid !== uid)
    throw refused(path, `the socket there belongs to user ${found.uid}, not to ${uid}`);
  if (await answers(path)) {
    throw new XenError(
      ErrorCode.SOCKET_IN_USE,
      `a daemon is listening on ${path} already: stop it, or give this one another --socket`,
    );
  }
  const directory = statSync(dirname(path));
  const trusted = directory.uid === uid || directory.uid === 0;
  if (!trusted || (directory.mode & WRITABLE_BY_OTHERS) !== 0) {
    throw refused(
      path,
      `a socket is there, and it may be another user's because others can write to its directory: remove it by hand, or use a directory that only you can write to`,
    );
  }
  return true;
}

/** Tells whether a process listens at `path`. Only a refused connection means no: a full queue belongs to a process that hangs. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolveAnswer) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolveAnswer(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      resolveAnswer(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}

/** @returns the descriptor of a socket that is bound to `path`, with its final mode. */
async function bindUnderUmask(path: string): Promise<number> {
  const system = await libc();
  const before = process.umask(SOCKET_UMASK);
  const fd = system.bindUnix(path);
  process.umask(before);
  if (fd >= 0) return fd;
  const errno = getSystemErrorName(fd);
  // In a directory that others can write to, a file may have appeared meanwhile: bind() replaces nothing.
  if (errno === 'EADDRINUSE') throw refused(path, 'another process has just put a file there');
  throw refused(path, `the system refuses to bind it (${errno})`);
}

function listenOnFd(server: Server, fd: number): Promise<void> {
  return new Promise((resolveListening, reject) => {
    server.once('error', reject);
    // The option `backlog` has no effect together with `fd`.
    server.listen({ fd }, BACKLOG, () => {
      server.off('error', reject);
      resolveListening();
    });
  });
}

function stateOf(target: string, claimed: Stats): ReturnType<SocketClaim['state']> {
  let found: Stats | undefined;
  try {
    found = lstatSync(target, { throwIfNoEntry: false });
  } catch {
    // A directory of the path was replaced, for instance by a symbolic link that leads to itself.
    return 'replaced';
  }
  if (found === undefined) return 'removed';
  return found.dev === claimed.dev && found.ino === claimed.ino ? 'ours' : 'replaced';
}

async function release(target: string, state: SocketClaim['state']): Promise<void> {
  if (state() !== 'ours') return;
  await underLock(target, async () => {
    if (state() === 'ours') unlinkIfThere(target);
  });
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw refused(path, `it cannot be removed`, error);
  }
}

function own(path: string, gid: number, group: string): void {
  try {
    lchownSync(path, process.getuid?.() ?? 0, gid);
  } catch (cause) {
    throw refused(path, cannotGive(group, errnoOf(cause)), cause);
  }
}

function kindOf(stats: Stats): string {
  if (stats.isSymbolicLink()) return 'a symbolic link';
  if (stats.isDirectory()) return 'a directory';
  return stats.isFile() ? 'a file' : 'a file that is not a socket';
}

function errnoOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}

/**
 * Makes `server` accept on a listening socket from the service manager, which owns its name: it is never unlinked here.
 * @returns the path of the socket; its number if the system does not say.
 */
export async function listenOn(server: Server, fd: number): Promise<string> {
  const where = `descriptor ${fd}`;
  try {
    // Rejects all but stream sockets.
    await listenOnFd(server, fd);
  } catch (cause) {
    throw refused(
      where,
      `the service manager did not pass a listening Unix stream socket (${errnoOf(cause)}): set ListenStream= to a path`,
      cause,
    );
  }
  // The address of a Unix socket is a path or null. Any other socket could be reached without the permissions of a file.
  const address = server.address();
  if (address !== null && typeof address !== 'string')
    throw refused(
      where,
      `it listens on ${address.address}:${address.port}, not on a Unix stream socket: set ListenStream= to a path`,
    );
  const system = await libc().catch(() => undefined);
  return system?.unixName(fd) ?? where;
}
