/** `npm run test:mutants [-- WORD...]`: every mutant, or those whose file or name has one of the words, and which test noticed. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Mutant, MUTANTS } from './mutants.ts';
import { copyBuild, DIST, patched } from './patched-build.ts';

/** No mutant may take longer: one that hangs has been noticed. */
const MOST_MS = 400_000;
const AT_ONCE = Math.min(2, cpus().length);

interface Verdict {
  readonly exitCode: number | null;
  readonly output: string;
}

function jestIn(directory: string, tests: readonly string[]): Promise<Verdict> {
  const patterns = tests.map((test) => `dist/test/${test}`);
  const jest = join(DIST, '../node_modules/jest/bin/jest.js');
  const child = spawn(
    process.execPath,
    ['--experimental-vm-modules', '--no-warnings', jest, '--bail', '--ci', '-w', '1', ...patterns],
    { cwd: directory, timeout: MOST_MS, killSignal: 'SIGKILL' },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  return new Promise((resolve) => child.on('close', (exitCode) => resolve({ exitCode, output })));
}

/** One after the other, as they are named: what is quick and near comes first. */
async function firstFailure(directory: string, tests: readonly string[]): Promise<Verdict> {
  let verdict: Verdict = { exitCode: 0, output: '' };
  for (const test of tests) {
    // oxlint-disable-next-line no-await-in-loop
    verdict = await jestIn(directory, [test]);
    if (verdict.exitCode !== 0) break;
  }
  return verdict;
}

/** The first test that failed; where none did, how it ended. */
function noticedBy({ exitCode, output }: Verdict): string {
  const failed = /● (?!Console)(.+)/.exec(output)?.[1];
  return failed ?? (exitCode === null ? 'it hung' : `exit status ${exitCode}`);
}

async function judge(directory: string, index: number, mutant: Mutant): Promise<boolean> {
  const copy = join(directory, `${index}`);
  await copyBuild(copy, '', mutant);
  const began = performance.now();
  const verdict = await firstFailure(copy, mutant.tests);
  const seconds = ((performance.now() - began) / 1000).toFixed(0);
  const survived = verdict.exitCode === 0;
  const what = survived ? 'SURVIVED' : `noticed by: ${noticedBy(verdict)}`;
  process.stdout.write(`${mutant.file}: ${mutant.name}: ${what} (${seconds} s)\n`);
  await rm(copy, { recursive: true, force: true });
  return survived;
}

const words = process.argv.slice(2);
const wanted = MUTANTS.filter(
  ({ file, name }) => words.length === 0 || words.some((each) => `${file}: ${name}`.includes(each)),
);
// Before anything is run: is there a place for each?
await Promise.all(wanted.map(patched));
const directory = await mkdtemp(join(tmpdir(), 'mutants-'));
try {
  const tests = [...new Set(wanted.flatMap((mutant) => mutant.tests))];
  const sound = join(directory, 'sound');
  await copyBuild(sound, '', undefined);
  // A busy machine can fail a test; what is wrong fails twice.
  const first = await jestIn(sound, tests);
  const verdict = first.exitCode === 0 ? first : await jestIn(sound, tests);
  if (verdict.exitCode !== 0) throw new Error(`without a mutant: ${verdict.output}`);
  const jobs = [...wanted.entries()];
  let survivors = 0;
  const work = async (): Promise<void> => {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
      // oxlint-disable-next-line no-await-in-loop -- as many at once as there are cores
      if (await judge(directory, ...job)) survivors++;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  process.stdout.write(`${wanted.length} mutants, ${survivors} survived\n`);
  process.exitCode = survivors === 0 ? 0 : 1;
} finally {
  await rm(directory, { recursive: true, force: true });
}
