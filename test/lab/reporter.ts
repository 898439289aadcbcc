/** Jest's reporter in dom0: a line of each test as it ends, for the host's progress to read off the console. */
/** Of what jest hands over, what is shown. */
interface TestCaseResult {
  readonly status: string;
  readonly duration?: number | null;
  readonly fullName: string;
  readonly failureMessages?: readonly string[];
}

import { RESULT_LINE } from './progress-line.ts';

export default class ConsoleReporter {
  onTestFileStart(test: { path: string }): void {
    // Jest leaves its own line open.
    process.stdout.write(`\n${RESULT_LINE}file ${test.path.replace(/^.*\/xen\//, '')}\n`);
  }

  onTestCaseResult(_test: unknown, result: TestCaseResult): void {
    process.stdout.write(
      `${RESULT_LINE}${result.status} ${result.duration ?? 0} ms ${result.fullName}\n`,
    );
    // In full in the report; here for who looks at a cell that has not ended.
    for (const message of result.failureMessages ?? []) process.stdout.write(`${message}\n`);
  }

  onTestFileResult(_test: unknown, result: { console?: readonly { message: string }[] }): void {
    for (const { message } of result.console ?? []) process.stdout.write(`${message}\n`);
  }

  getLastError(): undefined {
    return undefined;
  }
}
