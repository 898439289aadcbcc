/**
 * The pool's part in dom0: runs the service and the bridge, and creates and destroys VMs as the machine outside says, over the
 * pool's own NATS server. `node pool-in-dom0.js SERVER HOST`.
 */
import { spawn } from 'node:child_process';
import { connectNats, loadNats } from '../../src/pool/nats.ts';
import { command, startToolstack, xenVersion, xlCreate } from './dom0.ts';

/** Under emulation everything takes long. */
const CONNECT_MS = 60_000;
const BIN = 'dist/src/cli/bin.cjs';

const [server = '', host = ''] = process.argv.slice(2);

function start(...argv: readonly string[]): () => void {
  const child = spawn(process.execPath, [BIN, ...argv], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return () => child.kill();
}

const orders: Readonly<Record<string, (operand: string) => Promise<string>>> = {
  version: () => xenVersion(),
  create: async (uuid) => {
    const { domid } = await xlCreate({ kind: 'pv-block', name: `vm-${uuid.slice(0, 8)}`, uuid });
    return String(domid);
  },
  destroy: async (domid) => command('xl', 'destroy', domid),
  end: async () => '',
};

await startToolstack();
const stops = [
  start('serve'),
  start('pool', 'serve', '--nats', server, '--host', host, '--replicas', '1'),
];
const connection = await connectNats(await loadNats(), {
  servers: [server],
  name: `lab ${host}`,
  timeoutMs: CONNECT_MS,
});
for await (const message of connection.subscribe(`lab.${host}.*`)) {
  const name = message.subject.split('.').at(-1) ?? '';
  const answer = await orders[name]?.(message.string()).catch(String);
  message.respond(answer);
  if (name === 'end') break;
}
for (const stop of stops) stop();
await connection.close();
