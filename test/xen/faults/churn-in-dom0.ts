/** `node churn-in-dom0.js MINUTES`: domains come and go, the daemon is asked, and the witness looks on. */
import { Trial } from '../../faults/trial.ts';
import { note } from '../dom0.ts';
import { openXenFaultHost } from './xen-fault-host.ts';

const COMPARE_EVERY_MS = 5000;

async function churn(minutes: number): Promise<boolean> {
  const host = await openXenFaultHost();
  try {
    const { wrong, missed } = await new Trial(host, {}).run(
      `churn for ${minutes} minutes`,
      async (trial) => {
        const end = performance.now() + minutes * 60_000;
        const memory: number[] = [];
        for (let round = 0; performance.now() < end; round++) {
          // oxlint-disable-next-line no-await-in-loop -- one comparison after the other
          await trial.lasts(COMPARE_EVERY_MS);
          // oxlint-disable-next-line no-await-in-loop
          await trial.compare();
          if (round % 12 !== 0) continue;
          memory.push(host.memoryMiB());
          note(`${trial.storm.steps} domains made, renamed and destroyed; ${memory.at(-1)} MiB`);
        }
        trial.remarks.push(`memory, MiB: ${memory.join(', ')}`);
      },
    );
    for (const line of [...wrong, ...missed].slice(0, 20)) note(line);
    return wrong.length === 0 && missed.length === 0;
  } finally {
    await host.close();
  }
}

process.exitCode = (await churn(Number(process.argv[2]))) ? 0 : 1;
