/** The Xen of this dom0, with the daemon as a separate process. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, openSync, closeSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DominfFlag } from '../../../src/domain.ts';
import type { Uuid } from '../../../src/uuid.ts';
import type { FaultHost, WitnessedDomain } from '../../faults/fault-host.ts';
import {
  cell,
  destroyAll,
  type DomainMaker,
  introduce,
  reviveXenstored,
  startDomainMaker,
  until,
  witness,
} from '../dom0.ts';

const BIN = join(import.meta.dirname, '../../../src/cli/bin.cjs');
const USED_MEMORY = join(import.meta.dirname, 'used-memory.js');
const FOLDER = '/run/xen-domid';
/** With room for an emulated machine that shares its processor. */
const STARTS_MS = 180_000;
const XENSTORED_PID = '/run/xenstored.pid';

export interface ServeOptions {
  /** Target of its log. */
  readonly log?: string;
  readonly uid?: number;
  /** Makes {@link XenFaultHost.usedBytes} available. */
  readonly tellsMemory?: boolean;
}

export class XenFaultHost implements FaultHost {
  readonly name: string = `Xen ${cell.release}, ${cell.daemon}`;
  readonly socketPath: string = `${FOLDER}/xen-domid.sock`;
  readonly #maker: DomainMaker = startDomainMaker();
  #introducer: DomainMaker | undefined;
  #toIntroduce: number[] = [];
  #introducing: number | undefined;
  #daemon: ChildProcess | undefined;
  /** Standard error of all daemons. */
  log = '';

  // --- domains ---

  async create(uuid: Uuid): Promise<number> {
    const [line = ''] = await this.#maker.ask('bare', 1, '--uuid', uuid);
    return Number(line.split(' ')[0]);
  }

  async rename(domid: number, uuid: Uuid): Promise<void> {
    await this.#maker.ask('sethandle', domid, uuid);
  }

  async destroy(...domids: readonly number[]): Promise<void> {
    this.#toIntroduce = this.#toIntroduce.filter((domid) => !domids.includes(domid));
    await this.#maker.ask('destroy', ...domids);
  }

  introduce(domid: number): void {
    this.#toIntroduce.push(domid);
    if (this.#introducing === undefined) void this.#introduceAll();
  }

  /** Introduces with a separate program, which no fault of xenstored has affected. */
  async introduceNow(domid: number): Promise<void> {
    await introduce(domid);
  }

  isBeingIntroduced(domid: number): boolean {
    return this.#introducing === domid;
  }

  async witness(): Promise<WitnessedDomain[]> {
    return (await witness()).map(({ domid, uuid, flags }) => {
      return { domid, uuid, dying: (flags & DominfFlag.DYING) !== 0 };
    });
  }

  /** Creates and destroys domains until Xen has assigned `last`. */
  async spendDomidsUntil(last: number): Promise<void> {
    for (let spent = 0; spent < last;) {
      // oxlint-disable-next-line no-await-in-loop -- a thousand after the other
      const lines = await this.#maker.ask('bare', Math.max(1, Math.min(1000, last - spent)));
      const domids = lines.map((line) => Number(line.split(' ')[0]));
      spent = domids.at(-1) ?? last;
      // oxlint-disable-next-line no-await-in-loop
      await this.#maker.ask('destroy', ...domids);
    }
  }

  async makeMany(count: number): Promise<void> {
    await this.#maker.ask('bare', count);
  }

  // --- xenstored ---

  /** Sends a signal to the xenstore daemon. */
  signalXenstored(signal: NodeJS.Signals): void {
    process.kill(Number(readFileSync(XENSTORED_PID, 'utf8')), signal);
  }

  // --- the daemon ---

  get pid(): number {
    const pid = this.#daemon?.pid;
    if (pid === undefined) throw new Error('no daemon runs');
    return pid;
  }

  get daemon(): number {
    return this.pid;
  }

  /** Resolves once it answers. */
  async serve(options: ServeOptions = {}): Promise<void> {
    const before = this.log.length;
    const child = this.#spawn(options);
    this.#daemon = child;
    const what = `the daemon listens; it said ${this.log.slice(before)}`;
    await until(
      () => {
        if (child.exitCode !== null) throw new Error(`the daemon ended: ${this.log}`);
        return options.log === undefined
          ? this.log.slice(before).includes('info: listening on')
          : existsSync(this.socketPath);
      },
      { what, timeoutMs: STARTS_MS },
    );
  }

  /**
   * Starts the daemon where it cannot run.
   * @returns its exit status and output.
   */
  async serveInVain(options: ServeOptions = {}): Promise<{ status: number | null; said: string }> {
    const before = this.log.length;
    const child = this.#spawn(options);
    const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
    return { status, said: this.log.slice(before) };
  }

  signalDaemon(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  get daemonRuns(): boolean {
    return this.#daemon?.exitCode === null && this.#daemon.signalCode === null;
  }

  /** Resolves once it is gone, except for its socket file. */
  async killDaemon(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const daemon = this.#daemon;
    if (daemon === undefined || !this.daemonRuns) return;
    const gone = new Promise((resolve) => daemon.once('close', resolve));
    daemon.kill(signal);
    await gone;
  }

  memoryMiB(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return Math.round(Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 102.4) / 10;
  }

  /** Bytes in use after a collection, of a daemon with {@link ServeOptions.tellsMemory}. */
  async usedBytes(): Promise<number> {
    const before = this.log.length;
    this.signalDaemon('SIGUSR2');
    const [, bytes] = await until(
      () => /^used (\d+) bytes$/m.exec(this.log.slice(before)) ?? undefined,
      { what: 'the daemon tells what memory it uses' },
    );
    return Number(bytes);
  }

  // ---

  async close(): Promise<void> {
    await this.killDaemon();
    rmSync(FOLDER, { recursive: true, force: true });
    await until(() => this.#introducing === undefined, {
      what: 'the last is introduced',
      timeoutMs: STARTS_MS,
    });
    await this.#introducer?.close();
    await this.#maker.close();
    await destroyAll();
    await until(async () => (await witness()).length === 1, {
      what: 'all domains are gone',
      timeoutMs: STARTS_MS,
    });
  }

  #spawn({ log, uid, tellsMemory = false }: ServeOptions): ChildProcess {
    const node = tellsMemory ? ['--expose-gc', '--import', USED_MEMORY] : [];
    const serve = [BIN, 'serve', '--socket', this.socketPath];
    const fd = log === undefined ? undefined : openSync(log, 'a');
    const child = spawn(process.execPath, [...node, ...serve], {
      stdio: ['ignore', 'ignore', fd ?? 'pipe'],
      env: { PATH: process.env['PATH'] },
      ...(uid !== undefined && { uid, gid: uid }),
    });
    if (fd !== undefined) closeSync(fd);
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.log += text));
    return child;
  }

  async #introduceAll(): Promise<void> {
    for (
      let domid = this.#toIntroduce.shift();
      domid !== undefined;
      domid = this.#toIntroduce.shift()
    ) {
      this.#introducing = domid;
      const introducer = (this.#introducer ??= startDomainMaker());
      // While xenstored is away, the program that introduces domains ends.
      // oxlint-disable-next-line no-await-in-loop
      await introducer.ask('introduce', domid).catch(() => (this.#introducer = undefined));
    }
    this.#introducing = undefined;
  }
}

/** A host with a daemon that answers: the beginning of each row. */
export async function openXenFaultHost(options: ServeOptions = {}): Promise<XenFaultHost> {
  await reviveXenstored();
  const host = new XenFaultHost();
  await host.serve(options).catch(async (error: unknown) => {
    await host.close();
    throw error;
  });
  return host;
}
