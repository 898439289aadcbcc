/** The servers that are compared, each a process of its own on one core; who measures them is on another. */
import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Memory, Started, Storm, StormEnd } from './service-server.ts';

export type Kind = 'echo' | 'bare' | 'ours';

export interface Target {
  readonly child: ChildProcess;
  readonly path: string;
  /** Domids on the simulated host by number of the VM: the expected answers. */
  readonly domids: readonly number[];
  readonly memory: Memory;
}

/** Keeps this process, or the one with `pid`, on one core. Returns false where that is not possible. */
export function pin(core: number, pid: number = process.pid): boolean {
  if (availableParallelism() < 2) return false;
  try {
    execFileSync('taskset', ['-apc', `${core}`, `${pid}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

export async function start(kind: Kind, directory: string, domains: number): Promise<Target> {
  const path = join(directory, kind);
  const child = fork(new URL('service-server.js', import.meta.url), [kind, path, `${domains}`], {
    execArgv: ['--expose-gc'],
  });
  const [{ domids, memory }] = (await once(child, 'message')) as [Started];
  if (child.pid !== undefined) pin(0, child.pid);
  return { child, path, domids, memory };
}

export async function open({ path }: Pick<Target, 'path'>): Promise<Socket> {
  const socket = createConnection(path);
  await once(socket, 'connect');
  return socket;
}

/** Processor time of the server's event loop, in nanoseconds: other work on the machine affects it little. */
export function processorTime({ child: { pid } }: Pick<Target, 'child'>): number {
  const [ran = ''] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'latin1').split(' ');
  return Number(ran);
}

/** Boots VMs on the service's simulated host. Returns its state when all of them have ended. */
export async function storm({ child }: Target, how: Storm): Promise<StormEnd> {
  const over = once(child, 'message') as Promise<[StormEnd]>;
  child.send(how);
  return (await over)[0];
}

/** Starts subscribers of the service. Returns a function that ends them. */
export async function subscribe({ path }: Target, subscribers: number): Promise<() => void> {
  const crowd = fork(new URL('service-crowd.js', import.meta.url), [path, `${subscribers}`]);
  await once(crowd, 'message');
  if (crowd.pid !== undefined) pin(1, crowd.pid);
  return () => void crowd.kill();
}
