/** Runs the suites of `dist/test/xen/suite` in the dom0 of one cell. */
import { join } from 'node:path';

import { runCell, type CellRun } from './cell.ts';
import { readReport, type Report } from './report.ts';

const JEST_CONFIG = {
  rootDir: '/project',
  roots: ['<rootDir>/dist/test/xen/suite'],
  testMatch: ['**/*.test.js'],
  testEnvironment: 'node',
  transform: {},
  reporters: ['<rootDir>/dist/test/xen/reporter.js'],
  haste: { forceNodeFilesystemAPI: true },
  watchman: false,
  testTimeout: 60_000,
};

export interface SuitesRun extends Omit<CellRun, 'payload'> {
  readonly outputDir: string;
  /** Name of the one suite to run; all by default. */
  readonly suite?: string;
}

/** Boots the cell and runs all suites, one after the other; the judged report. */
export async function runSuites({ suite, ...cell }: SuitesRun): Promise<Report> {
  const payload = [
    ['node', 'node_modules/jest/bin/jest.js', '--runInBand', '--ci', '--no-cache', '--json'],
    ['--outputFile', '/result/output/jest.json', '--config', JSON.stringify(JEST_CONFIG)],
    suite === undefined ? [] : [`/${suite}\\.test\\.js$`],
  ];
  const { status } = await runCell({
    ...cell,
    env: { NODE_OPTIONS: '--experimental-vm-modules --no-warnings', FORCE_COLOR: '0' },
    payload: payload.flat(),
  });
  return readReport(join(cell.outputDir, 'jest.json'), status);
}
