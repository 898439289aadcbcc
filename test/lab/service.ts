/**
 * The daemon in dom0, started like systemd would by its unit, without systemd: with the unit's own command and
 * environment, and with the restrictions that `c/confine.c` and a control group for devices can apply.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { mkdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { datagrams } from '../support/datagrams.ts';
import { deviceNumbers } from './device-numbers.ts';
import { command, until } from './dom0.ts';

const ROOT = join(import.meta.dirname, '../../..');
const CONFINE = '/usr/lib/xen-domid-lab/confine';
const LINES = '/usr/lib/xen-domid-lab/lines';
const CURL = '/usr/lib/xen-domid-lab-curl';
/** Environment that systemd gives to services. */
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin';
const RUNTIME_DIRECTORY = '/run/xen-domid';
/** Under emulation node takes seconds to start, and a minute on a busy machine. */
const READY_MS = 300_000;
/** Short enough for tests to wait for; the unit's own is 30 s. */
const WATCHDOG_SECONDS = 1;
const DEVICE_GROUPS = '/run/device-groups';
/** Devices that DevicePolicy=closed allows: null, zero, full, random and urandom. */
const PSEUDO_DEVICES = [3, 5, 7, 8, 9].map((minor) => `c 1:${minor} rwm`);

export const SOCKET: string = join(RUNTIME_DIRECTORY, 'xen-domid.sock');

/** The directives of the unit file, each with its values in order. */
export function readUnit(): ReadonlyMap<string, readonly string[]> {
  const unit = new Map<string, string[]>();
  for (const line of readFileSync(join(ROOT, 'packaging/systemd/xen-domid.service'), 'utf8').split(
    '\n',
  )) {
    const [, name, value] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (name === undefined || value === undefined) continue;
    unit.set(name, [...(unit.get(name) ?? []), value]);
  }
  return unit;
}

function bytes(text: string): string {
  const [, number, unit = ''] = /^(\d+)([KMG]?)$/.exec(text) ?? [];
  if (number === undefined) throw new Error(`not a size: ${text}`);
  return String(Number(number) * 1024 ** 'KMG'.indexOf(unit) * 1024);
}

/** Creates a control group with access to the unit's devices, and to no others. */
async function deviceGroup(devices: readonly string[]): Promise<string> {
  const group = join(DEVICE_GROUPS, 'xen-domid');
  const exists = await stat(group).catch(() => undefined);
  if (exists !== undefined) return group;
  await mkdir(DEVICE_GROUPS);
  await command('mount', '-t', 'cgroup', '-o', 'devices', 'devices', DEVICE_GROUPS);
  await mkdir(group);
  await writeFile(join(group, 'devices.deny'), 'a');
  const allowed = devices.map((device) => {
    const [path = '', access = ''] = device.split(' ');
    const fd = openSync(path, 'r');
    const { rdev } = fstatSync(fd);
    closeSync(fd);
    const { major, minor } = deviceNumbers(rdev);
    return `c ${major}:${minor} ${access}`;
  });
  for (const rule of [...PSEUDO_DEVICES, ...allowed]) {
    // oxlint-disable-next-line no-await-in-loop -- one rule a write
    await writeFile(join(group, 'devices.allow'), rule);
  }
  return group;
}

/** Makes a `/dev/xen` without `hypercall`, like kernels before 4.18. */
async function oldDevices(): Promise<string> {
  const folder = '/dev/xen-without-hypercall';
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder);
  const { rdev } = await stat('/dev/xen/privcmd');
  const { major, minor } = deviceNumbers(rdev);
  await command('mknod', join(folder, 'privcmd'), 'c', String(major), String(minor));
  return folder;
}

export interface ServiceOptions {
  /** Arguments after `xen-domid serve`. */
  readonly args?: readonly string[];
  /** Passes the socket, as the socket unit does. */
  readonly listen?: boolean;
  /** SupplementaryGroups, a number. */
  readonly group?: number;
  /** Removes /dev/xen/hypercall: memory for hypercalls is then locked. */
  readonly oldKernel?: boolean;
  /** Replaces the unit's LimitMEMLOCK, bytes. */
  readonly memlock?: number;
}

export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A started service. */
export interface Service {
  readonly pid: number;
  /** Its messages to the service manager so far. */
  said(): readonly string[];
  /** Its output, like the journal's. */
  log(): Promise<string>;
  kill(signal: NodeJS.Signals): void;
  readonly ended: Promise<Ended>;
}

const running = new Set<Service>();
let plain: Service | undefined;
let started = 0;

/** Returns the unit's confinement as options of `confine`. */
export async function confinement(options: ServiceOptions = {}): Promise<string[]> {
  const unit = readUnit();
  const one = (name: string): string => unit.get(name)?.join() ?? '';
  if (one('CapabilityBoundingSet') !== '' || one('AmbientCapabilities') !== '')
    throw new Error('the unit gives capabilities: confine.c takes them all');
  await mkdir(RUNTIME_DIRECTORY, { recursive: true, mode: 0o755 });
  const words = ['--cgroup', await deviceGroup(unit.get('DeviceAllow') ?? [])];
  if (options.oldKernel === true) words.push('--devices', await oldDevices());
  if (options.listen === true) words.push('--listen', SOCKET);
  words.push('--writable', RUNTIME_DIRECTORY);
  words.push('--memlock', String(options.memlock ?? bytes(one('LimitMEMLOCK'))));
  words.push('--nofile', one('LimitNOFILE'), '--umask', one('UMask'));
  if (options.group !== undefined) words.push('--group', String(options.group));
  return [...words, '--'];
}

/** Starts the daemon; it may not be ready yet. */
export async function beginService(options: ServiceOptions = {}): Promise<Service> {
  await symlink(join(ROOT, 'dist/src/cli/bin.cjs'), '/usr/bin/xen-domid').catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    },
  );
  started += 1;
  const notify = `/run/notify-${started}`;
  const logFile = `/run/journal-${started}`;
  const receive = datagrams(notify);
  const log = openSync(logFile, 'a');
  const { dev, ino } = fstatSync(log);
  const program = readUnit().get('ExecStart')?.join().split(' ') ?? [];
  const words = [...(await confinement(options)), ...program, ...(options.args ?? [])];
  const child = spawn(CONFINE, words, {
    cwd: '/',
    stdio: ['ignore', log, log],
    env: {
      PATH,
      NOTIFY_SOCKET: notify,
      WATCHDOG_USEC: String(WATCHDOG_SECONDS * 1e6),
      JOURNAL_STREAM: `${dev}:${ino}`,
    },
  });
  closeSync(log);
  const said: string[] = [];
  const service: Service = {
    pid: child.pid ?? 0,
    said: () => {
      said.push(...receive());
      return said;
    },
    log: () => readFile(logFile, 'utf8'),
    kill: (signal) => void child.kill(signal),
    ended: once(child, 'exit').then(([status, signal]) => {
      running.delete(service);
      return { status, signal };
    }),
  };
  running.add(service);
  return service;
}

/** Starts the daemon; returns once it is ready. */
export async function startService(options: ServiceOptions = {}): Promise<Service> {
  const service = await beginService(options);
  let ended = false;
  void service.ended.then(() => (ended = true));
  await until(() => ended || service.said().some((text) => text.startsWith('READY=1')), {
    what: 'the service is ready',
    timeoutMs: READY_MS,
  });
  if (ended) throw new Error(`the service ended: ${await service.log()}`);
  return service;
}

/** Returns the service of the unit: a running one of an earlier test, because starting node is most of a test's time. */
export async function plainService(): Promise<Service> {
  if (plain !== undefined && running.has(plain)) return plain;
  await endServices();
  plain = await startService();
  return plain;
}

/** Ends all running services, and removes their files. */
export async function endServices(): Promise<void> {
  const all = [...running];
  for (const service of all) service.kill('SIGKILL');
  await Promise.all(all.map(({ ended }) => ended));
  await rm(RUNTIME_DIRECTORY, { recursive: true, force: true });
}

/** Returns curl's output: an independent client, with as few options as possible. */
export async function curl(...args: readonly string[]): Promise<string> {
  return command(
    'env',
    `LD_LIBRARY_PATH=${CURL}`,
    `${CURL}/curl`,
    '-sS',
    '--max-time',
    '30',
    '--unix-socket',
    SOCKET,
    ...args,
  );
}

/** Returns the replies to these lines, by an independent client. */
export async function sendLines(lines: readonly object[]): Promise<Record<string, unknown>[]> {
  const child = spawn(LINES, [SOCKET], { stdio: ['pipe', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const closed = once(child, 'close');
  child.stdin.end(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  const [status] = (await closed) as [number];
  if (status !== 0) throw new Error(`lines: exit ${status}: ${text}`);
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
