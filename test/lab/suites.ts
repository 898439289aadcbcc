/** Runs the suites of a folder of `dist/test/lab` in the dom0 of one cell. */
import { join } from 'node:path';

import { runCell, type CellRun } from './cell.ts';
import { FAULT_ROWS_FILE } from './fault-table.ts';
import { architectureOf } from './release.ts';
import { readReport, type Report } from './report.ts';

const JEST_CONFIG = {
  rootDir: '/project',
  testMatch: ['**/*.test.js'],
  testEnvironment: 'node',
  transform: {},
  reporters: ['<rootDir>/dist/test/lab/reporter.js'],
  haste: { forceNodeFilesystemAPI: true },
  watchman: false,
  testTimeout: 60_000,
};

/** Suites that a cell of arm64 does not have: its image has neither OCaml's nor Python's readers of the table. */
const NOT_ON_ARM = '/table\\.test\\.js$';

export interface SuitesRun extends Omit<CellRun, 'payload'> {
  readonly outputDir: string;
  /** Folder of the suites in `test/lab`. */
  readonly folder: string;
  /** Name of the one suite to run; all by default. */
  readonly suite?: string;
  /** A pattern of the names of the tests to run; all by default. */
  readonly test?: string;
}

/** Boots the cell and runs all suites, one after the other; the judged report. */
export async function runSuites({ folder, suite, test, ...cell }: SuitesRun): Promise<Report> {
  const ignored = architectureOf(cell.release) === 'arm64' ? [NOT_ON_ARM] : [];
  const roots = [`<rootDir>/dist/test/lab/${folder}`];
  const config = { ...JEST_CONFIG, roots, testPathIgnorePatterns: ignored };
  const payload = [
    ['node', 'node_modules/jest/bin/jest.js', '--runInBand', '--ci', '--no-cache', '--json'],
    // An open handle of a failed test must not cost the report.
    ['--forceExit'],
    ['--outputFile', '/result/output/jest.json', '--config', JSON.stringify(config)],
    suite === undefined ? [] : [`/${suite}\\.test\\.js$`],
    test === undefined ? [] : ['--testNamePattern', test],
  ];
  const { status } = await runCell({
    ...cell,
    env: {
      NODE_OPTIONS: '--experimental-vm-modules --no-warnings',
      FORCE_COLOR: '0',
      XEN_DOMID_FAULT_ROWS: `/result/output/${FAULT_ROWS_FILE}`,
    },
    payload: payload.flat(),
  });
  return readReport(join(cell.outputDir, 'jest.json'), status, test);
}
