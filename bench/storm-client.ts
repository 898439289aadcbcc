/** The process that looks up for storm-agent.ts. */
import { InventoryClient } from '../src/client/client.ts';
import { Latencies } from './quantiles.ts';
import type { Question, Reply } from './storm-agent.ts';

const [socket = ''] = process.argv.slice(2);
const client = new InventoryClient({ socket, acceptSimulated: true });
const latencies = new Latencies();

async function answer({ id, uuid, times }: Question): Promise<Reply> {
  if (id === -1) return { id, tookUs: latencies.quantilesUs() };
  const domids: (number | null)[] = [];
  for (let time = 0; time < times; time++) {
    const began = performance.now();
    // oxlint-disable-next-line no-await-in-loop -- one look-up after the other
    const result = await client.lookup(uuid);
    latencies.record(performance.now() - began);
    domids.push(result.status === 'found' ? result.domain.domid : null);
  }
  return { id, domids };
}

process.on('message', (question: Question) => {
  void answer(question).then((reply) => process.send?.(reply));
});
process.once('disconnect', () => void client.close());
