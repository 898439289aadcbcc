import { expect, test } from '@jest/globals';
import type { LookupResult } from '../../src/results.ts';
import { Waiters } from '../../src/inventory/waiters.ts';
import { madeUpDomain } from '../support/made-up-domain.ts';
import { uuidOf } from '../support/vms.ts';

const [A, B] = [uuidOf(0xa), uuidOf(0xb)];
const NOT_FOUND: LookupResult = { status: 'notFound' };

function waiter(): { answers: LookupResult[]; answer: (result: LookupResult) => void } {
  const answers: LookupResult[] = [];
  return { answers, answer: (result) => void answers.push(result) };
}

test('all pending look-ups of a UUID are answered, and no other', () => {
  const waiters = new Waiters();
  const [one, two, other] = [waiter(), waiter(), waiter()];
  waiters.add(A, one);
  waiters.add(A, two);
  waiters.add(B, other);
  waiters.answer(A, NOT_FOUND);
  expect([one, two, other].map(({ answers }) => answers.length)).toEqual([1, 1, 0]);
});

test('a look-up that was removed is not answered, and a UUID without pending look-ups is not kept', () => {
  const waiters = new Waiters();
  const [one, two] = [waiter(), waiter()];
  const leave = [one, two].map((each) => waiters.add(A, each));
  expect([waiters.size, waiters.has(A), waiters.has(B)]).toEqual([1, true, false]);
  leave[0]?.();
  leave[0]?.();
  waiters.answer(A, NOT_FOUND);
  expect([one.answers.length, two.answers.length]).toEqual([0, 1]);
  leave[1]?.();
  expect([waiters.size, waiters.has(A)]).toEqual([0, false]);
  // A later one of the same UUID is not removed by one that left before.
  waiters.add(A, one);
  leave[1]?.();
  expect(waiters.has(A)).toBe(true);
});

test('looks are reported only for UUIDs with pending look-ups', () => {
  const waiters = new Waiters();
  const shown: unknown[] = [];
  waiters.observe((domain, source) => shown.push([domain.uuid, source]));
  waiters.shown(madeUpDomain(1, { uuid: A }), 'next');
  waiters.add(B, waiter());
  waiters.shown(madeUpDomain(1, { uuid: A }), 'next');
  waiters.shown(madeUpDomain(1, { uuid: B }), 'list');
  expect(shown).toEqual([[B, 'list']]);
});
