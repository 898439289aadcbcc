/**
 * `npm run test:mutants [-- WORD...]`: runs every mutant, or those with one of the words in their file or name,
 * and prints the test that caught each.
 */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Mutant, MUTANTS } from './mutants.ts';
import { copyBuild, DIST, patched } from './patched-build.ts';

/** Timeout of one mutant, ms: a mutant that hangs counts as caught. */
const MOST_MS = 400_000;
/** Time for jest to write its report after it has said that a test failed, ms. */
const REPORT_MS = 5000;
const AT_ONCE = Math.min(2, availableParallelism());
/** The results of the last run. */
const REPORT = join(DIST, '../test/mutants/report.json');

/** The parts of jest's JSON report that are read. */
interface JestReport {
  readonly testResults: readonly {
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

interface Verdict {
  readonly failed: boolean;
  /** The test that failed; if none is named, the end of jest's output. */
  readonly by: string;
  /** Whether the test failed by an assertion, which a busy machine does not cause. */
  readonly isAssertion: boolean;
  readonly output: string;
}

interface Line {
  readonly file: string;
  readonly name: string;
  /** Null if the mutant survived. */
  readonly noticedBy: string | null;
  readonly seconds: number;
}

async function jestIn(directory: string, tests: readonly string[]): Promise<Verdict> {
  const patterns = tests.map((test) => `dist/test/${test}`);
  const jest = join(DIST, '../node_modules/jest/bin/jest.js');
  const file = join(directory, 'jest.json');
  await rm(file, { force: true });
  // Not --bail: with it, jest leaves no report.
  const options = ['--ci', '-w', '1', '--json', '--outputFile', file];
  const child = spawn(
    process.execPath,
    ['--experimental-vm-modules', '--no-warnings', jest, ...options, ...patterns],
    {
      cwd: directory,
      timeout: MOST_MS,
      killSignal: 'SIGKILL',
      env: { ...process.env, FORCE_COLOR: '0' },
    },
  );
  let output = '';
  let ends: NodeJS.Timeout | undefined;
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      // A failed test can leave a handle open that keeps jest alive.
      if (/^Tests: .* failed/m.test(output))
        ends ??= setTimeout(() => child.kill('SIGKILL'), REPORT_MS);
    });
  }
  const exitCode = await new Promise<number | null>((resolve) => child.on('close', resolve));
  clearTimeout(ends);
  const report = await readFile(file, 'utf8').catch(() => '{"testResults":[]}');
  return { ...verdictOf(exitCode, JSON.parse(report) as JestReport), output };
}

function verdictOf(exitCode: number | null, { testResults }: JestReport): Omit<Verdict, 'output'> {
  const failures = testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ status }) => status === 'failed');
  const asserted = failures.find(({ failureMessages }) =>
    failureMessages.some((message) => /^\w*(Error)?:? ?expect\(/.test(message)),
  );
  const first = asserted ?? failures[0];
  const ended = exitCode === null ? 'it hung' : `exit status ${exitCode}`;
  return {
    failed: exitCode !== 0,
    by: first?.fullName ?? ended,
    isAssertion: asserted !== undefined,
  };
}

/** Runs the test files in the order of the row, which names fast and close ones first. */
async function firstFailure(
  directory: string,
  tests: readonly string[],
): Promise<Verdict | undefined> {
  for (const test of tests) {
    // oxlint-disable-next-line no-await-in-loop
    const verdict = await failureOf(directory, [test]);
    if (verdict !== undefined) return verdict;
  }
  return undefined;
}

/** On a busy machine, a test that waits can fail by accident; a real failure repeats. */
async function failureOf(
  directory: string,
  tests: readonly string[],
): Promise<Verdict | undefined> {
  const first = await jestIn(directory, tests);
  if (!first.failed) return undefined;
  if (first.isAssertion) return first;
  const second = await jestIn(directory, tests);
  return second.failed ? second : undefined;
}

async function judge(directory: string, index: number, mutant: Mutant): Promise<Line> {
  const { file, name } = mutant;
  const copy = join(directory, `${index}`);
  await copyBuild(copy, [''], mutant);
  const began = performance.now();
  const noticedBy = (await firstFailure(copy, mutant.tests))?.by ?? null;
  const seconds = Math.round((performance.now() - began) / 1000);
  const what = noticedBy === null ? 'LIVED' : `noticed by: ${noticedBy}`;
  process.stdout.write(`${file}: ${name}: ${what} (${seconds} s)\n`);
  await rm(copy, { recursive: true, force: true });
  return { file, name, noticedBy, seconds };
}

/** In the order of the mutants' list, without removed mutants. */
function keep(lines: readonly Line[]): void {
  const before = JSON.parse(readFileSync(REPORT, 'utf8')) as Line[];
  const all = MUTANTS.flatMap((mutant) => {
    const isOf = (line: Line): boolean => line.file === mutant.file && line.name === mutant.name;
    return lines.find(isOf) ?? before.find(isOf) ?? [];
  });
  writeFileSync(REPORT, `[\n${all.map((line) => JSON.stringify(line)).join(',\n')}\n]\n`);
}

const words = process.argv.slice(2);
const wanted = MUTANTS.filter(
  ({ file, name }) => words.length === 0 || words.some((each) => `${file}: ${name}`.includes(each)),
);
// Checks before the first run that every patch applies.
await Promise.all(wanted.map(patched));
const directory = await mkdtemp(join(tmpdir(), 'mutants-'));
try {
  const tests = [...new Set(wanted.flatMap((mutant) => mutant.tests))];
  const sound = join(directory, 'sound');
  await copyBuild(sound, [''], undefined);
  const failure = await failureOf(sound, tests);
  if (failure !== undefined) throw new Error(`without a mutant: ${failure.output}`);
  const jobs = [...wanted.entries()];
  const lines: Line[] = [];
  const work = async (): Promise<void> => {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
      // oxlint-disable-next-line no-await-in-loop -- as many at once as there are cores
      lines.push(await judge(directory, ...job));
      // Writes each result at once: a run takes half an hour.
      keep(lines);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const lived = lines.filter(({ noticedBy }) => noticedBy === null).length;
  process.stdout.write(
    `${lines.length} mutants: ${lines.length - lived} noticed, ${lived} lived; test/mutants/report.json has them\n`,
  );
  process.exitCode = lived === 0 ? 0 : 1;
} finally {
  await rm(directory, { recursive: true, force: true });
}
