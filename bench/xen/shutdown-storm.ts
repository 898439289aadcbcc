/** In dom0: destroys all VMs as fast as possible. */
import { until } from '../../test/lab/dom0.ts';
import { countsBetween, LIST_WAYS } from './contestants.ts';
import type { Bench, Vm } from './host.ts';
import type { ShutdownStorm } from './results.ts';
import { add, NO_WORK, spread } from './work.ts';

const AT_ONCE = 25;
/** Interval at which the end of a domain is looked for. */
const WATCH_MS = 25;
const TIMEOUT_MS = 60_000;

export async function shutdownStorm(
  bench: Bench,
  vms: readonly Vm[],
  progress: (text: string) => void,
): Promise<ShutdownStorm> {
  const { maker, c, inProcess } = bench;
  await c.tell('drop');
  await inProcess.changes();
  const before = await inProcess.counts();
  const cpuBefore = await c.number('cpu', inProcess.pid);
  let eventList = NO_WORK;
  await c.tell('gone', WATCH_MS);
  const beganNs = Number(process.hrtime.bigint());
  for (let at = 0; at < vms.length; at += AT_ONCE) {
    const some = vms.slice(at, at + AT_ONCE).map(({ domid }) => domid);
    // oxlint-disable-next-line no-await-in-loop -- as a toolstack does
    await maker.ask('destroy', ...some);
    // oxlint-disable-next-line no-await-in-loop
    eventList = add(eventList, (await c.event(LIST_WAYS.by1024.how)).work);
    progress(`shutdown storm of ${vms.length}: ${at + some.length}`);
  }
  const destroyed = new Map<number, number>();
  const all = async (): Promise<boolean> => {
    for (const { kind, domid, atNs } of await inProcess.changes()) {
      if (kind === 'destroyed') destroyed.set(domid, atNs);
    }
    return vms.every(({ domid }) => destroyed.has(domid));
  };
  await until(all, { timeoutMs: TIMEOUT_MS, what: 'all are reported as destroyed' });
  const cpuNs = (await c.number('cpu', inProcess.pid)) - cpuBefore;
  const counts = countsBetween(before, await inProcess.counts());
  // Give the watcher time to miss the last of them.
  await new Promise((resolve) => setTimeout(resolve, 4 * WATCH_MS));
  const went = new Map((await c.seen()).map(({ domid, thereNs }) => [domid, thereNs]));
  await c.tell('drop');
  const after = vms.map(
    ({ domid }) => (destroyed.get(domid) ?? Number.NaN) - (went.get(domid) ?? Number.NaN),
  );
  return {
    vms: vms.length,
    tookNs: Math.max(...destroyed.values()) - beganNs,
    events: counts.events,
    listNs: counts.listMs * 1e6,
    lists: counts.list,
    cpuNs,
    destroyedAfter: spread(after),
    eventList,
  };
}
