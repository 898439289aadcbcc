/** For suites inside dom0: their cell, and functions to create, change, watch and remove domains. */
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import path, { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

import { DominfFlag } from '../../src/domain.ts';
import { Xenstore } from '../../src/xenstore/xenstore.ts';
import { guestConfig, type Guest } from './guest.ts';
import { ALL_RELEASES, architectureOf, DAEMONS, type Daemon, type Release } from './release.ts';
import { DOING_LINE, NOTE_LINE } from './progress-line.ts';
import { until } from '../support/until.ts';

export { until } from '../support/until.ts';
export type { Guest, GuestBehaviour, GuestKind } from './guest.ts';

const PROGRAMS = '/usr/lib/xen-domid-lab';
const PID_FILE = '/run/xenstored.pid';
const CONSOLED_PID_FILE = '/run/xenconsoled.pid';
/** Bytes of output: 32752 lines of the witness are 12 MB. */
const MAX_OUTPUT = 64 * 1024 * 1024;

/** With room for an emulated machine that shares its processor. */
const XENSTORED_ANSWERS_MS = 20_000;

const exec = promisify(execFile);

/** Returns the stdout of a program of dom0. */
export async function command(program: string, ...args: readonly string[]): Promise<string> {
  return (await exec(program, args, { maxBuffer: MAX_OUTPUT })).stdout;
}

function variable<T extends string>(name: string, values: readonly T[]): T {
  const value = values.find((one) => one === process.env[name]);
  if (value === undefined)
    throw new Error(`${name} is not set: this runs in a cell of the lab only`);
  return value;
}

export interface Cell {
  readonly release: Release;
  readonly daemon: Daemon;
  /** Folder for files for the host. */
  readonly output: string;
}

/** The cell of this process. */
export const cell: Cell = {
  release: variable('XEN_DOMID_LAB_RELEASE', ALL_RELEASES),
  daemon: variable('XEN_DOMID_LAB_DAEMON', DAEMONS),
  output: process.env['XEN_DOMID_LAB_OUTPUT'] ?? '/result/output',
};

const onArm = architectureOf(cell.release) === 'arm64';
/** Why this cell has no PV guests, if it has none. */
export const noPv: string | false = onArm && 'Xen on arm has no PV guests';
/** The kind of guest that needs the least. */
export const PLAIN: 'pv' | 'pvh' = onArm ? 'pvh' : 'pv';
/** A flag of each domain that is made without a toolstack, as a guest's: on arm, all domains are `hvm`. */
export const BARE_FLAG: number = onArm ? DominfFlag.HVM_GUEST : 0;

async function versionPart(name: string): Promise<string> {
  return (await readFile(`/sys/hypervisor/version/${name}`, 'utf8')).trim();
}

/** The running hypervisor's version, for example `4.17.5`. */
export async function xenVersion(): Promise<string> {
  const parts = await Promise.all(['major', 'minor', 'extra'].map(versionPart));
  return `${parts[0]}.${parts[1]}${parts[2]}`;
}

/** Reports a figure to the host. */
export function note(text: string): void {
  process.stdout.write(`\n${NOTE_LINE}${text}\n`);
}

/** Shows the current step on the host's terminal. */
export function doing(text: string): void {
  process.stdout.write(`\n${DOING_LINE}${text}\n`);
}

/** A domain according to libxenctrl. */
export interface Witnessed {
  readonly domid: number;
  readonly uuid: string;
  /** All XEN_DOMINF_* flags, raw. {@link witnessOne} on 4.14 and 4.17 loses the upper half of the shutdown code. */
  readonly flags: number;
  readonly shutdownCode: number;
  readonly totPages: bigint;
  readonly maxPages: bigint;
  readonly outstandingPages: bigint;
  readonly shrPages: bigint;
  readonly pagedPages: bigint;
  readonly sharedInfoFrame: bigint;
  /** Nanoseconds. */
  readonly cpuTime: bigint;
  readonly onlineVcpus: number;
  readonly maxVcpuId: number;
  readonly ssidref: number;
  readonly cpupool: number;
}

function parseWitness(line: string): Witnessed {
  return JSON.parse(line, (key, value: unknown) =>
    typeof value === 'string' && key !== 'uuid' ? BigInt(value) : value,
  ) as Witnessed;
}

/** Returns every domain, by xc_domain_getinfolist. */
export async function witness(): Promise<Witnessed[]> {
  const lines = await command(`${PROGRAMS}/witness`);
  return lines.trimEnd().split('\n').map(parseWitness);
}

/** Returns one domain, by xc_domain_getinfo or xc_domain_getinfo_single. */
export async function witnessOne(domid: number): Promise<Witnessed | undefined> {
  const line = (await command(`${PROGRAMS}/witness`, String(domid))).trim();
  return line === 'null' ? undefined : parseWitness(line);
}

export interface Made {
  readonly domid: number;
  readonly uuid: string;
}

export interface MakeOptions {
  /** UUID of every created domain; random ones by default. */
  readonly uuid?: string;
  /** Domid of the first domain, followed by the next ones; Xen's choice by default. */
  readonly domid?: number;
}

async function domains(...args: readonly (string | number)[]): Promise<string> {
  return command(`${PROGRAMS}/domains`, ...args.map(String));
}

async function make(how: string, count: number, options: MakeOptions): Promise<Made[]> {
  const args: (string | number)[] = [how, count];
  if (options.uuid !== undefined) args.push('--uuid', options.uuid);
  if (options.domid !== undefined) args.push('--domid', options.domid);
  const lines = (await domains(...args)).trimEnd().split('\n');
  return lines.map((line) => {
    const [domid = '', uuid = ''] = line.split(' ');
    return { domid: Number(domid), uuid };
  });
}

/** Creates domains without memory and without introduction: 0.2 ms each. */
export async function makeBare(count: number, options: MakeOptions = {}): Promise<Made[]> {
  return make('bare', count, options);
}

/** Creates domains and introduces them to xenstore: some 15 ms each. */
export async function makeIntroduced(count: number, options: MakeOptions = {}): Promise<Made[]> {
  return make('introduced', count, options);
}

/** Introduces bare domains. */
export async function introduce(...domids: readonly number[]): Promise<void> {
  await domains('introduce', ...domids);
}

/** Whether xenstored has the domain as introduced. */
export async function isIntroduced(domid: number): Promise<boolean> {
  return (await domains('is-introduced', domid)).trim() === 'true';
}

export async function setHandle(domid: number, uuid: string): Promise<void> {
  await domains('sethandle', domid, uuid);
}

export async function pause(...domids: readonly number[]): Promise<void> {
  await domains('pause', ...domids);
}

export async function unpause(...domids: readonly number[]): Promise<void> {
  await domains('unpause', ...domids);
}

/** Shuts a domain down from outside, with a SHUTDOWN_* code. */
export async function shutdown(domid: number, code: number): Promise<void> {
  await domains('shutdown', domid, code);
}

export async function resume(...domids: readonly number[]): Promise<void> {
  await domains('resume', ...domids);
}

export async function destroy(...domids: readonly number[]): Promise<void> {
  if (domids.length > 0) await domains('destroy', ...domids);
}

/** Destroys all domains but dom0 and dying ones. */
export async function destroyAll(): Promise<void> {
  await domains('destroy-all');
}

/** A program of the lab, or any path, that answers lines of stdin on stdout. */
export class Companion {
  readonly #process: ReturnType<typeof spawn>;
  readonly #lines: AsyncIterator<string>;

  constructor(program: string, args: readonly string[] = []) {
    const child = spawn(path.resolve(PROGRAMS, program), args, {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#process = child;
    // The reader of its answer notices its end.
    child.stdin.on('error', () => undefined);
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#process.pid ?? Number.NaN;
  }

  async line(): Promise<string> {
    const next = await this.#lines.next();
    if (next.done === true) throw new Error(`${this.#process.spawnfile} ended`);
    return next.value;
  }

  tell(line: string): void {
    this.#process.stdin?.write(`${line}\n`);
  }

  /** Returns the reply to one line. */
  async ask(...words: readonly (string | number)[]): Promise<string> {
    this.tell(words.join(' '));
    return this.line();
  }

  async close(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const closed = new Promise((resolve) => this.#process.once('close', resolve));
    this.#process.stdin?.end();
    await closed;
  }
}

/** The program that creates and changes domains. It keeps running, so that a command needs no new process. See `c/domains.c`. */
export interface DomainMaker {
  /** Its output. */
  ask(...command: readonly (string | number)[]): Promise<string[]>;
  close(): Promise<void>;
}

export function startDomainMaker(): DomainMaker {
  const maker = new Companion('domains', ['-']);
  return {
    ask: async (...words) => {
      maker.tell(words.join(' '));
      const printed: string[] = [];
      for (let line = await maker.line(); line !== 'done'; line = await maker.line())
        printed.push(line);
      return printed;
    },
    close: () => maker.close(),
  };
}

export interface Held {
  /** Unmaps the page: a destroyed domain can then disappear. */
  release(): Promise<void>;
}

/** Maps a page of a domain, which then stays listed as dying after its destruction. */
export async function hold(domid: number): Promise<Held> {
  const holder = new Companion('domains', ['hold', String(domid)]);
  await holder.line();
  return { release: () => holder.close() };
}

/** The process that times libxenctrl; see `c/timer.c` for its commands. */
export interface Timer {
  ask(request: string): Promise<string>;
  close(): Promise<void>;
}

export function startTimer(): Timer {
  const timer = new Companion('timer', []);
  return {
    ask: async (request) => {
      timer.tell(request);
      return timer.line();
    },
    close: () => timer.close(),
  };
}

/** Starts the parts that `xl` needs besides xenstored: dom0's own entries and the console daemon. */
export async function startToolstack(): Promise<void> {
  if (await isRunning('xenconsoled')) return;
  await command('xen-init-dom0');
  await command('xenconsoled', `--pid-file=${CONSOLED_PID_FILE}`);
  await until(() => isRunning('xenconsoled'), { what: 'xenconsoled runs' });
}

async function succeeds(program: string, ...args: readonly string[]): Promise<boolean> {
  return command(program, ...args).then(
    () => true,
    () => false,
  );
}

async function isRunning(program: string): Promise<boolean> {
  return succeeds('pidof', program);
}

export async function xl(...args: readonly string[]): Promise<string> {
  return command('xl', ...args);
}

/** Path of a configuration file for `xl create`. */
export async function writeGuestConfig(guest: Guest): Promise<string> {
  const file = join(await mkdtemp('/tmp/guest-'), 'guest.cfg');
  await writeFile(file, guestConfig(guest, PROGRAMS));
  return file;
}

/** Creates a guest with the real toolstack; call `startToolstack` first. */
export async function xlCreate(guest: Guest): Promise<Made> {
  const file = await writeGuestConfig(guest);
  await xl('create', '-q', file);
  await rm(dirname(file), { recursive: true });
  const domid = Number(await xl('domid', guest.name));
  const made = await witnessOne(domid);
  if (made === undefined) throw new Error(`${guest.name} was gone before it could be looked at`);
  return { domid, uuid: made.uuid };
}

/** Stops the xenstore daemon with SIGSTOP: new requests stay unanswered. */
export async function freezeXenstored(): Promise<void> {
  process.kill(Number(await readFile(PID_FILE, 'utf8')), 'SIGSTOP');
}

/** Kills the xenstore daemon like a crash, and xenconsoled with it, which depends on it. */
export async function killXenstored(): Promise<void> {
  await kill(Number(await readFile(PID_FILE, 'utf8')), cell.daemon);
  if (await isRunning('xenconsoled')) {
    await kill(Number(await readFile(CONSOLED_PID_FILE, 'utf8')), 'xenconsoled');
  }
}

async function kill(pid: number, program: string): Promise<void> {
  process.kill(pid, 'SIGKILL');
  await until(async () => !(await succeeds('kill', '-0', String(pid))), {
    what: `${program} is gone`,
  });
}

/** Restarts this cell's xenstore daemon with an empty store; returns once it listens. */
export async function startXenstored(): Promise<void> {
  await exec(`${PROGRAMS}/lab-xenstored`);
}

/** Makes the xenstore daemon answer, after any earlier change to it or to its socket. */
export async function reviveXenstored(): Promise<void> {
  if (await xenstoredAnswers()) return;
  if (await isRunning(cell.daemon)) await killXenstored();
  await startXenstored();
}

async function xenstoredAnswers(): Promise<boolean> {
  try {
    const xenstore = await Xenstore.open();
    try {
      const answered = xenstore.directory('/').then(() => true);
      return await Promise.race([answered, sleep(XENSTORED_ANSWERS_MS, false, { ref: false })]);
    } finally {
      await xenstore.close();
    }
  } catch {
    return false;
  }
}
