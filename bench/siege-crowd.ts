/** A process with clients that load the service: `node siege-crowd.js PATH pipeline|lists CONNECTIONS DEPTH`. */
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { batchOf, exchange } from './service-load.ts';

const [path = '', load = '', connections = '0', depth = '0'] = process.argv.slice(2);

const VMS = 1000;
const LIST = '{"jsonrpc":"2.0","id":1,"method":"list"}\n';
/** No more at once than the queue of the listening socket takes. */
const CONNECTING = 100;

async function begin(): Promise<void> {
  const socket = createConnection(path);
  await once(socket, 'connect');
  socket.on('error', () => socket.destroy());
  if (load === 'lists') socket.pause().write(LIST.repeat(Number(depth)));
  else void pipeline();

  async function pipeline(): Promise<void> {
    const batch = batchOf('domid', Number(depth), VMS);
    // oxlint-disable-next-line no-await-in-loop -- the next batch when the last is answered
    while (!socket.destroyed) await exchange(socket, batch);
  }
}

for (let left = Number(connections); left > 0; left -= CONNECTING) {
  // oxlint-disable-next-line no-await-in-loop -- in groups
  await Promise.all(Array.from({ length: Math.min(left, CONNECTING) }, begin));
}
process.send?.('begun');
