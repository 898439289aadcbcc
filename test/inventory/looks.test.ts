import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import type { Domid } from '../../src/domain.ts';
import type { Hypervisor } from '../../src/hypervisor/hypervisor.ts';
import { Looks } from '../../src/inventory/looks.ts';
import { ErrorCode, XenError } from '../../src/xen-error.ts';

const DOMID = 1 as Domid;

interface Setup {
  readonly looks: Looks;
  /** Time that each look takes, ms. */
  takesMs: number;
  error?: Error;
}

function setup(): Setup {
  const state: { takesMs: number; error?: Error } = { takesMs: 0 };
  const hypervisor = {
    getDomainInfo: () => {
      jest.advanceTimersByTime(state.takesMs);
      if (state.error !== undefined) throw state.error;
      return undefined;
    },
  } as unknown as Hypervisor;
  return Object.assign(state, { looks: new Looks(hypervisor) });
}

const timed = ({ looks }: Setup): number =>
  looks.durations.counts.reduce((sum, count) => sum + count, 0);

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

test('single looks are counted, and one in eight is timed and counts as eight', () => {
  const it = setup();
  it.takesMs = 3;
  for (let look = 0; look < 7; look++) it.looks.look(DOMID);
  expect(timed(it)).toBe(0);
  it.looks.look(DOMID);
  expect(timed(it)).toBe(8);
  expect(it.looks.durations.sumMs).toBeCloseTo(24);
  for (let look = 0; look < 80; look++) it.looks.look(DOMID);
  expect(timed(it)).toBe(88);
  expect(it.looks.count).toBe(88);
});

test('a look that fails is counted and timed, and its error is thrown', () => {
  const it = setup();
  it.error = new XenError(ErrorCode.HYPERCALL, 'no');
  for (let look = 0; look < 8; look++) expect(() => it.looks.look(DOMID)).toThrow(it.error);
  expect(it.looks.count).toBe(8);
  expect(timed(it)).toBe(8);
});

test('a domain that XSM hides counts as absent; any other refusal is an error', () => {
  const it = setup();
  it.error = new XenError(ErrorCode.XSM_DENIED, 'hidden');
  expect(it.looks.look(DOMID)).toBeUndefined();
  it.error = new XenError(ErrorCode.NOT_PERMITTED, 'no');
  expect(() => it.looks.look(DOMID)).toThrow('no');
  it.error = new Error('of an embedder');
  expect(() => it.looks.look(DOMID)).toThrow('of an embedder');
});
