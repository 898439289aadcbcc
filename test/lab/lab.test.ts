/** The parts of the lab that need no Xen. */
import { describe, expect, test } from '@jest/globals';

import { titleWith } from './cannot-title.ts';
import { deviceNumbers } from './device-numbers.ts';
import { guestConfig } from './guest.ts';
import { closure } from './project-layer.ts';
import { judge } from './report.ts';
import { until } from '../support/until.ts';

function reportOf(...results: [status: string, title: string][]): Parameters<typeof judge>[0] {
  const assertionResults = results.map(([status, title]) => ({
    status,
    title,
    fullName: `suite ${title}`,
    failureMessages: status === 'failed' ? ['why'] : [],
  }));
  return { testResults: [{ name: 'a.test.js', status: '', message: '', assertionResults }] };
}

describe("a cell's report", () => {
  test('counts what passed and shows what failed', () => {
    const report = judge(reportOf(['passed', 'a'], ['failed', 'b']), 1);
    expect(report).toEqual({
      passed: 1,
      failures: [{ name: 'suite b', message: 'why' }],
      skips: [],
    });
  });

  test('lists a skip that has a reason', () => {
    const report = judge(reportOf(['passed', 'a'], ['pending', titleWith('b', 'no SVM')]), 0);
    expect(report).toEqual({
      passed: 1,
      failures: [],
      skips: [{ name: 'suite b', reason: 'no SVM' }],
    });
  });

  test.each(['pending', 'todo', 'skipped'])('fails for a %s test without a reason', (status) => {
    const { failures } = judge(reportOf(['passed', 'a'], [status, 'b']), 0);
    expect(failures).toEqual([{ name: 'suite b', message: expect.stringContaining(status) }]);
  });

  test('fails for a file without tests, for no file, and for a bad exit status', () => {
    expect(judge(reportOf(), 0).failures).toHaveLength(1);
    expect(judge({ testResults: [] }, 0).failures).toHaveLength(1);
    expect(judge(reportOf(['passed', 'a']), 1).failures).toHaveLength(1);
  });
});

test('packages are found where node would find them', () => {
  const packages = {
    '': { dependencies: { a: '1' } },
    'node_modules/a': { dependencies: { b: '1', '@s/c': '1' } },
    'node_modules/b': {},
    'node_modules/a/node_modules/b': { dependencies: { d: '1' } },
    'node_modules/@s/c': { optionalDependencies: { d: '1', absent: '1' } },
    'node_modules/@s/c/node_modules/d': {},
    'node_modules/d': {},
    'node_modules/unused': {},
  };
  expect(closure(packages, [])).toEqual([
    'node_modules/@s/c',
    'node_modules/@s/c/node_modules/d',
    'node_modules/a',
    'node_modules/a/node_modules/b',
    'node_modules/d',
  ]);
});

test('a guest is configured to stay when it shuts down', () => {
  const text = guestConfig({ kind: 'pvh-soft-reset', name: 'g' }, '/p');
  expect(text).toContain('kernel = "/p/pvh"\ncmdline = "5"\nmemory = 8\n');
  expect(text).toContain('on_soft_reset = "preserve"');
});

test('waiting ends with an answer, or says what did not come', async () => {
  let asked = 0;
  expect(await until(() => ++asked > 2 && 'yes')).toBe('yes');
  await expect(until(() => false, { timeoutMs: 1, what: 'rain' })).rejects.toThrow(
    'rain: not within 1 ms',
  );
});

test.each([
  [0x0a07, 10, 7],
  [1_051_143, 10, 263],
])('the device %i is %i:%i', (rdev, major, minor) => {
  expect(deviceNumbers(rdev)).toEqual({ major, minor });
});
