/** Runs a program of this machine, and reports its output on failure. */
import { spawn } from 'node:child_process';

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

const KEPT_OUTPUT = 4000;

/**
 * Returns the stdout of `command`.
 * @throws Error with the end of its stderr unless it exits with 0.
 */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const child = spawn(command, args, {
    ...options,
    env: { ...process.env, LC_ALL: 'C', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  const status = await new Promise<number | string>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(code ?? signal ?? 'unknown'));
  });
  if (status !== 0) {
    const said = Buffer.concat([...out, ...err]).toString('utf8');
    throw new Error(
      `${command} ${args.join(' ').slice(0, 300)}: exit ${status}\n${said.slice(-KEPT_OUTPUT)}`,
    );
  }
  return Buffer.concat(out).toString('utf8');
}
