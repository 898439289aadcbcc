/** Runs the oracle of a build in its own process: inside jest, reading the clock is slow. */
import { execFile } from 'node:child_process';

export interface ChildVerdict {
  readonly exitCode: number;
  readonly output: string;
  readonly seconds: number;
}

/** @param main path of the built `main.js`. */
export async function runOracleIn(main: string, args: readonly string[]): Promise<ChildVerdict> {
  const began = performance.now();
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...args], (error, stdout, stderr) => {
      const code = error?.code ?? 0;
      resolve({
        exitCode: typeof code === 'number' ? code : 1,
        output: stdout + stderr,
        seconds: (performance.now() - began) / 1000,
      });
    });
  });
}
