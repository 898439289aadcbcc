import { once } from 'node:events';
import { expect, test } from '@jest/globals';
import type { Domid } from '../../src/domain.ts';
import { Holdings } from './holdings.ts';
import { uuidOf } from '../support/vms.ts';

/** Judges an answer of `domid` while the VM of domain 3 reboots as domain 4. */
async function judged(domid: number): Promise<string | undefined> {
  const holdings = new Holdings();
  const uuid = uuidOf(1);
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

test('an answer with the domid of a rebooted domain is right before the act that made it returns', async () => {
  expect(await judged(4)).toBeUndefined();
});

test('an answer with a domid other than that of the rebooted domain is wrong', async () => {
  expect(await judged(5)).toMatch('domain 5, which did not hold it');
});
