/** A datagram socket as systemd has one for its services to speak to. Node has none. */
import koffi from 'koffi';

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 0x80002;
const MSG_DONTWAIT = 0x40;
const LONGEST_BYTES = 4096;

/**
 * @param address a path, or `@` and an abstract name.
 * @returns what came since it was last called. The socket lives as long as the process.
 */
export function datagrams(address: string): () => string[] {
  const library = koffi.load(null);
  const socket = library.func('int socket(int, int, int)');
  const bind = library.func('int bind(int, const void *, unsigned int)');
  const recv = library.func('long recv(int, void *, size_t, int)');
  const fd = socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0) as number;
  const name = Buffer.concat([Buffer.from([AF_UNIX, 0]), Buffer.from(address.replace(/^@/, '\0'))]);
  if (bind(fd, name, name.length) !== 0) throw new Error('no socket for datagrams');
  return () => {
    const received: string[] = [];
    const buffer = Buffer.alloc(LONGEST_BYTES);
    for (;;) {
      const length = Number(recv(fd, buffer, buffer.length, MSG_DONTWAIT));
      if (length < 0) return received;
      received.push(buffer.toString('utf8', 0, length));
    }
  };
}
