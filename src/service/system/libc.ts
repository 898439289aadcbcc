/** Calls to the C library that Node does not offer. Loaded on first use: koffi takes 16 ms to load. */
import { Buffer } from 'node:buffer';

/** `linux/socket.h`, `asm-generic/socket.h`, `sys/file.h`; the same on x86_64 and arm64. */
const AF_UNIX = 1;
const SOCK_STREAM_CLOEXEC = 0x80001;
const SOCK_DGRAM_CLOEXEC = 0x80002;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const LOCK_EX_NB = 2 | 4;
const EWOULDBLOCK = 11;

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

export interface Libc {
  /** Takes a lock (flock) on `fd`. @returns false if another process holds it. @throws Error if the system refuses. */
  tryLock(fd: number): boolean;
  /** Sends a datagram to the address that systemd gave, without waiting. @returns whether it was sent. */
  sendDatagram(address: string, text: string): boolean;
  /** Binds a new stream socket to a path; nothing may be there. @returns its descriptor, or the negative errno. */
  bindUnix(path: string): number;
  /** The path or abstract name (with `@`) that a Unix socket is bound to; undefined where it is something else. */
  unixName(fd: number): string | undefined;
  /** Ends the process at once: unlike process.exit(), which waits for calls that run in other threads. */
  exitNow(status: number): void;
  /** Returns the process that connected the other end of a Unix socket. */
  peerCredentials(fd: number): PeerCredentials | undefined;
  /** Tells whether the other end of a Unix stream socket is closed. After a half-close it is not: the peer still reads. */
  isPeerClosed(fd: number): boolean;
}

const FAMILY_BYTES = 2;
/** `struct sockaddr_un`. */
const SOCKADDR_UN_BYTES = 110;

function sockaddrUn(name: string): Buffer {
  return Buffer.concat([Buffer.from(Uint16Array.of(AF_UNIX).buffer), Buffer.from(name)]);
}

let loaded: Promise<Libc> | undefined;

export function libc(): Promise<Libc> {
  loaded ??= load();
  return loaded;
}

async function load(): Promise<Libc> {
  const { default: koffi } = await import('koffi');
  // The C library that the process is linked to, under any file name.
  const library = koffi.load(null);
  const flock = library.func('int flock(int fd, int operation)');
  const socket = library.func('int socket(int domain, int type, int protocol)');
  const sendto = library.func(
    'long sendto(int fd, const void *data, size_t length, int flags, const void *address, unsigned int address_length)',
  );
  const bind = library.func('int bind(int fd, const void *address, unsigned int address_length)');
  const getsockname = library.func('int getsockname(int fd, void *address, void *address_length)');
  const exitProcess = library.func('void _exit(int status)');
  const send = library.func('long send(int fd, const void *data, size_t length, int flags)');
  const close = library.func('int close(int fd)');
  const getsockopt = library.func(
    'int getsockopt(int fd, int level, int name, void *value, void *length)',
  );

  return {
    tryLock(fd) {
      if (flock(fd, LOCK_EX_NB) === 0) return true;
      const errno = koffi.errno();
      if (errno === EWOULDBLOCK) return false;
      throw new Error(`flock failed with errno ${errno}`);
    },
    sendDatagram(address, text) {
      const sockaddr = sockaddrUn(address.replace(/^@/, '\0'));
      const fd = socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0) as number;
      if (fd < 0) return false;
      const data = Buffer.from(text);
      const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
      const sent = sendto(fd, data, data.length, flags, sockaddr, sockaddr.length) as number;
      close(fd);
      return sent === data.length;
    },
    bindUnix(path) {
      const fd = socket(AF_UNIX, SOCK_STREAM_CLOEXEC, 0) as number;
      if (fd < 0) return -koffi.errno();
      const sockaddr = sockaddrUn(path);
      if (bind(fd, sockaddr, sockaddr.length) === 0) return fd;
      const errno = koffi.errno();
      close(fd);
      return -errno;
    },
    unixName(fd) {
      const sockaddr = Buffer.alloc(SOCKADDR_UN_BYTES);
      const length = Uint32Array.of(sockaddr.length);
      if (getsockname(fd, sockaddr, length) !== 0 || sockaddr[0] !== AF_UNIX) return undefined;
      const name = sockaddr.toString('utf8', FAMILY_BYTES, length[0]);
      // A path ends with a zero; an abstract name begins with one, and has its length from the kernel.
      return name.startsWith('\0') ? `@${name.slice(1)}` : name.replace(/\0.*$/, '');
    },
    exitNow: (status) => void exitProcess(status),
    isPeerClosed(fd) {
      // Linux checks for a closed peer first, even with nothing to send (unix_stream_sendmsg).
      return (send(fd, null, 0, MSG_DONTWAIT | MSG_NOSIGNAL) as number) < 0;
    },
    peerCredentials(fd) {
      const value = new Int32Array(3);
      const length = Uint32Array.of(value.byteLength);
      if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, value, length) !== 0) return undefined;
      const [pid = 0, uid = 0, gid = 0] = value;
      return { pid, uid: uid >>> 0, gid: gid >>> 0 };
    },
  };
}
