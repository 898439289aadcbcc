/** Jest's reporter in dom0: prints a line for each test as it ends, for the host's progress on the console. */
/** The part of jest's result that is shown. */
interface TestCaseResult {
  readonly status: string;
  readonly duration?: number | null;
  readonly fullName: string;
  readonly failureMessages?: readonly string[];
}

import { RESULT_LINE } from './progress-line.ts';

export default class ConsoleReporter {
  onTestFileStart(test: { path: string }): void {
    // Ends the line that jest leaves open.
    process.stdout.write(`\n${RESULT_LINE}file ${test.path.replace(/^.*\/xen\//, '')}\n`);
  }

  onTestCaseResult(_test: unknown, result: TestCaseResult): void {
    process.stdout.write(
      `${RESULT_LINE}${result.status} ${result.duration ?? 0} ms ${result.fullName}\n`,
    );
    // The report has the full message; this is for a look at a running cell.
    for (const message of result.failureMessages ?? []) process.stdout.write(`${message}\n`);
  }

  onTestFileResult(_test: unknown, result: { console?: readonly { message: string }[] }): void {
    for (const { message } of result.console ?? []) process.stdout.write(`${message}\n`);
  }

  getLastError(): undefined {
    return undefined;
  }
}
