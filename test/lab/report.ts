/** Reads and judges jest's report of a cell: failed tests, tests skipped with a reason, and other skipped tests. */
import { readFile } from 'node:fs/promises';

import { reasonOf } from './cannot-title.ts';

interface Assertion {
  readonly status: string;
  readonly title: string;
  readonly fullName: string;
  readonly failureMessages: readonly string[];
}

interface JestReport {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly Assertion[];
  }[];
}

export interface Failure {
  readonly name: string;
  readonly message: string;
}

export interface Skip {
  readonly name: string;
  readonly reason: string;
}

export interface Report {
  readonly passed: number;
  readonly failures: readonly Failure[];
  readonly skips: readonly Skip[];
}

/** Without jest's own stack frames. */
function withoutJest(message: string): string {
  return message.replaceAll(/^\s+at .*\/node_modules\/jest-.*\n?/gm, '').trimEnd();
}

/**
 * Judges jest's report; `status` is jest's exit status.
 * @param chosen the pattern of the names of the tests that were to run, if not all.
 */
export function judge(report: JestReport, status: number, chosen?: string): Report {
  // Matches like jest.
  const wanted = new RegExp(chosen ?? '', 'i');
  let passed = 0;
  const failures: Failure[] = [];
  const skips: Skip[] = [];
  for (const file of report.testResults) {
    if (file.assertionResults.length === 0) {
      failures.push({ name: file.name, message: file.message || 'no test in this file' });
    }
    for (const { status: result, title, fullName, failureMessages } of file.assertionResults) {
      if (!wanted.test(fullName)) continue;
      const listed = reasonOf(title);
      if (result === 'passed') passed += 1;
      else if (result === 'failed')
        failures.push({ name: fullName, message: withoutJest(failureMessages.join('\n')) });
      else if (listed !== undefined) {
        const name = fullName.slice(0, -title.length) + listed.title;
        skips.push({ name, reason: listed.reason });
      } else failures.push({ name: fullName, message: `${result} without a reason; see cannot()` });
    }
  }
  if (passed === 0 && failures.length === 0) {
    failures.push({ name: 'jest', message: 'no test was run' });
  }
  if (status !== 0 && failures.length === 0) {
    failures.push({
      name: 'jest',
      message: `all tests passed, but jest's exit status was ${status}`,
    });
  }
  return { passed, failures, skips };
}

/** Judges the report in `file`. A missing report is a failure. */
export async function readReport(file: string, status: number, chosen?: string): Promise<Report> {
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) {
    const message = `jest ended with ${status} and left no report`;
    return { passed: 0, failures: [{ name: 'jest', message }], skips: [] };
  }
  return judge(JSON.parse(text) as JestReport, status, chosen);
}
