/** A process with many subscribers that read and discard all notifications. */
import { createConnection } from 'node:net';

const [path = '', count = '0'] = process.argv.slice(2);
let subscribed = 0;
for (let n = 0; n < Number(count); n++) {
  const socket = createConnection(path);
  socket.write('{"jsonrpc":"2.0","id":1,"method":"subscribe"}\n');
  socket.once('data', () => {
    if (++subscribed === Number(count)) process.send?.('subscribed');
  });
  socket.resume();
}
