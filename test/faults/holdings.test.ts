import { once } from 'node:events';
import { expect, test } from '@jest/globals';
import type { Domid } from '../../src/domain.ts';
import { Holdings } from './holdings.ts';
import { newUuid } from './storm.ts';

/** What is made of an answer that names `domid`, while domain 4 boots again from what was domain 3. */
async function judged(domid: number): Promise<string | undefined> {
  const holdings = new Holdings();
  const uuid = newUuid();
  await holdings.begin(uuid, () => Promise.resolve(3));
  await holdings.end(3, () => Promise.resolve());
  const maker = new EventTarget();
  const begun = holdings.begin(uuid, async () => {
    await once(maker, 'made');
    return 4;
  });
  const span = { asked: performance.now(), answered: performance.now() };
  setImmediate(() => maker.dispatchEvent(new Event('made')));
  await holdings.recorded(uuid);
  const wrong = holdings.judge(uuid, { status: 'found', domid: domid as Domid }, span);
  await begun;
  return wrong;
}

test('whoever is told of a domain that boots again before its maker hears of it is told right', async () => {
  expect(await judged(4)).toBeUndefined();
});

test('whoever is told of another domain than the one that boots again is told wrong', async () => {
  expect(await judged(5)).toMatch('domain 5, which did not have it');
});
