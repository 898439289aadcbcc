/** `node churn-in-dom0.js MINUTES`: domains come and go, clients ask the daemon, and the witness compares. */
import { Trial } from '../../faults/trial.ts';
import { growthOf, type Sample } from '../../soak/vitals.ts';
import { note } from '../dom0.ts';
import { openXenFaultHost } from './xen-fault-host.ts';

const COMPARE_EVERY_MS = 5000;
/** A collection blocks an emulated daemon for a while. */
const ROUNDS_A_SAMPLE = 6;
const MEBIBYTE = 2 ** 20;

const mebibytes = (bytes: number): number => Math.round((bytes / MEBIBYTE) * 10) / 10;

async function churn(minutes: number): Promise<boolean> {
  const host = await openXenFaultHost({ tellsMemory: true });
  try {
    const samples: Sample[] = [];
    const { row, wrong, missed } = await new Trial(host, {}).run(
      `churn for ${minutes} minutes`,
      async (trial) => {
        const began = performance.now();
        const end = began + minutes * 60_000;
        for (let round = 0; performance.now() < end; round++) {
          // oxlint-disable-next-line no-await-in-loop -- one comparison after the other
          await trial.lasts(COMPARE_EVERY_MS);
          // oxlint-disable-next-line no-await-in-loop
          await trial.compare();
          if (round % ROUNDS_A_SAMPLE !== 0) continue;
          // oxlint-disable-next-line no-await-in-loop
          const usedBytes = await host.usedBytes();
          samples.push({ at: (performance.now() - began) / 1000, usedBytes });
          note(
            `${trial.storm.steps} domains made, renamed and destroyed; ${mebibytes(usedBytes)} MiB used, ${host.memoryMiB()} resident`,
          );
        }
      },
    );
    for (const line of [...wrong, ...missed].slice(0, 20)) note(line);
    // In the first half a process still grows to its normal size.
    const half = (samples.at(-1)?.at ?? 0) / 2;
    const growth = growthOf(samples.filter(({ at }) => at >= half));
    note(
      JSON.stringify({
        churn: row.host,
        minutes,
        steps: row.steps,
        lookups: row.lookups,
        unavailable: row.unavailable,
        changes: row.changes,
        wrong: row.wrong,
        missed: row.missed,
        comparisons: row.comparisons,
        growthMiB: mebibytes(growth.bytes),
        mostMiB: mebibytes(growth.mostBytes),
        samples: growth.samples,
        usedMiB: samples.map(({ usedBytes }) => mebibytes(usedBytes)),
        residentMiB: row.memoryMiB,
      }),
    );
    return wrong.length === 0 && missed.length === 0 && growth.bytes <= growth.mostBytes;
  } finally {
    await host.close();
  }
}

process.exitCode = (await churn(Number(process.argv[2]))) ? 0 : 1;
