/** `xen-domid stats`: prints how busy the service is, and what its answers cost. */
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type ConnectOptions } from '../connect.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { printableJson } from '../../printable.ts';
import { statsText } from './stats-text.ts';

export interface StatsCommand extends ConnectOptions {
  readonly json: boolean;
}

/** The time that is counted, for the present rates. */
const COUNTED_MS = 1000;

export async function stats(io: Io, options: StatsCommand): Promise<ExitStatus> {
  const client = await connect(io, options);
  try {
    const before = await client.stats();
    if (options.json) {
      io.out(`${printableJson(before)}\n`);
    } else {
      await sleep(COUNTED_MS);
      io.out(statsText(before, await client.stats()));
    }
    return ExitStatus.done;
  } finally {
    await client.close();
  }
}
