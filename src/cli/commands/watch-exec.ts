/** `xen-domid watch --exec`: runs a command of the user's for each change, one at a time. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Change, Token } from '../../change.ts';
import type { Io } from '../io.ts';
import { jsonOf } from './change-text.ts';

/**
 * Returns a function that runs `command` for each change. While it runs, no further batch is read, so the service keeps
 * the changes: nothing is queued here.
 * @param signal ends the running command by SIGTERM, and runs no other.
 */
export function execReport(
  io: Io,
  command: string,
  signal: AbortSignal,
): (changes: readonly Change[], token: Token) => Promise<void> {
  return async (changes, token) => {
    for (const [at, change] of changes.entries()) {
      if (signal.aborted) return;
      const json = jsonOf(change, new Date(), at === changes.length - 1 ? token : undefined);
      // oxlint-disable-next-line no-await-in-loop -- one command at a time
      const problem = await run(command, json, signal);
      if (problem === undefined || signal.aborted) continue;
      io.err(`xen-domid: --exec: ${problem}, for domain ${change.domid} ${change.kind}\n`);
    }
  };
}

/** Resolves once the command has ended, with what went wrong. */
async function run(
  command: string,
  json: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const child = spawn('/bin/sh', ['-c', command], { stdio: ['pipe', 'inherit', 'inherit'] });
  const end = (): void => void child.kill('SIGTERM');
  signal.addEventListener('abort', end);
  try {
    // A command may end without reading its input.
    child.stdin.on('error', () => undefined).end(json);
    const [status, killedBy] = (await once(child, 'close')) as [number | null, string | null];
    if (status === 0) return undefined;
    return status === null ? `killed by ${killedBy}` : `status ${status}`;
  } catch (error) {
    // For example too many processes.
    return `/bin/sh could not be started (${(error as NodeJS.ErrnoException).code})`;
  } finally {
    signal.removeEventListener('abort', end);
  }
}
