import { expect, test } from '@jest/globals';
import type { Lists, ListWaiter, TakenList } from '../../src/inventory/lists.ts';
import { PendingLookup } from '../../src/inventory/pending-lookup.ts';
import type { Uuid } from '../../src/uuid.ts';
import { ErrorCode, XenError } from '../../src/xen-error.ts';
import { uuidOf } from '../support/vms.ts';

const [A, B] = [uuidOf(0xa), uuidOf(0xb)];

interface Setup {
  readonly pending: PendingLookup;
  /** Lists that it waits for, and lists that it has waited for. */
  readonly waitsFor: Set<ListWaiter>;
  lists: number;
}

function setup(): Setup {
  const state = {
    waitsFor: new Set(),
    lists: 0,
  } as unknown as Setup;
  const lists = {
    wait: (_: 'miss', waiter: ListWaiter) => {
      state.lists++;
      state.waitsFor.add(waiter);
      return () => void state.waitsFor.delete(waiter);
    },
  } as unknown as Lists;
  return Object.assign(state, { pending: new PendingLookup(A, lists) });
}

const listOf = (...uuids: Uuid[]): TakenList => ({
  shown: new Set(uuids),
  snapshot: undefined,
});

test('it is notFound after a later list that does not show the UUID', async () => {
  const it = setup();
  expect(it.lists).toBe(1);
  it.pending.done(listOf(B));
  expect(await it.pending.result).toEqual({ status: 'notFound' });
});

test('it waits for another list where a holder that the list showed was gone', async () => {
  const it = setup();
  it.waitsFor.clear();
  it.pending.done(listOf(A));
  expect(it.lists).toBe(2);
  expect(it.waitsFor.size).toBe(1);
  it.pending.done(listOf());
  expect(await it.pending.result).toEqual({ status: 'notFound' });
  expect(it.waitsFor.size).toBe(0);
});

test('a list that fails is the answer, with its cause', async () => {
  const it = setup();
  it.pending.failed(new XenError(ErrorCode.NOT_PERMITTED, 'no'));
  expect(await it.pending.result).toMatchObject({
    status: 'unavailable',
    cause: ErrorCode.NOT_PERMITTED,
  });
});

test('the first answer counts, and it stops waiting for the list', async () => {
  for (const end of [
    (it: Setup) => it.pending.answer({ status: 'notFound' }),
    (it: Setup) => it.pending.abort(new Error('enough')),
    (it: Setup) => it.pending.failed(new XenError(ErrorCode.CLOSED, 'closed')),
  ]) {
    const it = setup();
    end(it);
    expect(it.waitsFor.size).toBe(0);
    it.pending.done(listOf(A));
    it.pending.answer({ status: 'ambiguous', domains: [] });
    it.pending.abort(new Error('too late'));
    expect(it.lists).toBe(1);
    // oxlint-disable-next-line no-await-in-loop
    const [result] = await Promise.allSettled([it.pending.result]);
    expect(JSON.stringify(result)).not.toContain('ambiguous');
    expect(result).not.toMatchObject({ reason: { message: 'too late' } });
  }
});
