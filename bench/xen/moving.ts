/** In dom0: a VM moves to random domids again and again, and has one at every moment, so that "no such VM" is always wrong. */
import { randomInt, randomUUID } from 'node:crypto';

import { destroyAll } from '../../test/lab/dom0.ts';
import { ANYBODY, LIST_WAYS } from './contestants.ts';
import type { Bench } from './host.ts';
import type { StormResult, Work } from './results.ts';
import { WAY_NAMES } from './way-names.ts';

/** More than fit a page of 1024. */
const DOMAINS = 1500;
const APART = 20;
const LOOKUPS = { by2: 40, by1024: 400, short: 400, once: 100 } as const;
const OUR_LOOKUPS = 400;

export async function movingVm(bench: Bench): Promise<NonNullable<StormResult['moving']>> {
  const { maker, c, inProcess } = bench;
  for (let number = 0; number < DOMAINS; number++) {
    const domid = 1 + number * APART + randomInt(APART);
    // oxlint-disable-next-line no-await-in-loop
    await maker.ask('bare', 1, '--domid', domid);
  }
  const uuid = randomUUID();
  await c.tell('move', uuid);
  const ways: { name: string; work: Work }[] = [];
  for (const key of ['by2', 'by1024', 'short', 'once'] as const) {
    const { name, how } = LIST_WAYS[key];
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    ways.push({ name, work: (await c.lookup(how, uuid, ANYBODY, LOOKUPS[key])).work });
  }
  const { work } = await inProcess.lookup(uuid, ANYBODY, OUR_LOOKUPS);
  ways.push({ name: WAY_NAMES.inProcess, work });
  const moves = await c.number('stay');
  await destroyAll();
  return { domains: DOMAINS, moves, ways };
}
