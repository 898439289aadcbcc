/** Boots one cell, a release of Xen with one of its xenstore daemons, and runs any command in its dom0. */
import { createReadStream, createWriteStream, rmSync } from 'node:fs';
import { mkdir, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

import { boot, DOM0_UP } from './boot.ts';
import { withApt } from './debian.ts';
import { imageOf } from './image.ts';
import { packagesLayer, writeRunLayer } from './project-layer.ts';
import type { Daemon, Release } from './release.ts';
import { run } from './run.ts';

const RESULT_DISK_BYTES = 256 * 1024 * 1024;
const BOOT_TIMEOUT_MS = 180_000;
const TIMEOUT_MS = 1_800_000;

/** The current step of a cell, for progress displays. */
export type Phase = 'image' | 'boot' | 'payload' | 'result';

export interface CellRun {
  readonly release: Release;
  readonly daemon: Daemon;
  /**
   * A program and its arguments, run in the folder with the project's `package.json`, `dist` and `node_modules`.
   * Files that it writes to `$XEN_DOMID_LAB_OUTPUT` appear in `outputDir`.
   */
  readonly payload: readonly string[];
  /** Added to the payload's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Archives to unpack over the image, before the project's own. */
  readonly layers?: readonly string[];
  /** Memory of dom0, MiB. */
  readonly memory?: number;
  /** Memory for Xen and other domains, MiB; by default as much as dom0 has. */
  readonly guestMemory?: number;
  /** Processors; one by default. */
  readonly processors?: number;
  /** Whether dom0 reaches this machine's loopback, at 10.0.2.2. */
  readonly network?: boolean;
  /** Development packages that the payload imports, besides those of the suites. */
  readonly packages?: readonly string[];
  /** Folder for the payload's files and the console log; by default a new folder in the system's temporary one. */
  readonly outputDir?: string;
  readonly bootTimeoutMs?: number;
  readonly timeoutMs?: number;
  readonly onConsoleLine?: (line: string) => void;
  readonly onPhase?: (phase: Phase) => void;
}

export interface CellResult {
  /** Exit status of the payload. */
  readonly status: number;
  readonly outputDir: string;
  readonly consoleLog: string;
}

/** The cell gave no result: the reason, and the path of its console log. */
export class CellError extends Error {
  override readonly name = 'CellError';
  readonly consoleLog: string;

  constructor(reason: string, lines: string, consoleLog: string, options?: ErrorOptions) {
    super(`${reason}; its console is kept in ${consoleLog} and ends with\n${lines}`, options);
    this.consoleLog = consoleLog;
  }
}

async function concatenate(parts: readonly string[], into: string): Promise<void> {
  for (const part of parts) {
    await pipeline(createReadStream(part), createWriteStream(into, { flags: 'a' }));
  }
}

async function makeDisk(path: string): Promise<void> {
  const file = await open(path, 'w');
  await file.truncate(RESULT_DISK_BYTES);
  await file.close();
}

/** The last lines of a console, without its colours. */
async function lastWords(consoleLog: string): Promise<string> {
  const text = await readFile(consoleLog, 'utf8').catch(() => '');
  // eslint-disable-next-line no-control-regex
  const lines = text.replace(/\u001b\[[\d;?]*[A-Za-z]/g, '').split('\n');
  return lines
    .filter((line) => line.trim() !== '')
    .slice(-8)
    .map((line) => `    ${line.slice(0, 200)}`)
    .join('\n');
}

/** Unpacks dom0's files from the disk, and returns the payload's status. */
async function readResult(disk: string, scratch: string, outputDir: string): Promise<number> {
  await run('tar', ['-xf', disk, '--no-same-owner', '-C', scratch]);
  const status = Number(await readFile(join(scratch, 'status'), 'utf8'));
  await run('cp', ['-a', `${join(scratch, 'output')}/.`, outputDir]);
  return status;
}

/** Boots `cell`, runs its payload and copies its files back. The working directory must be the repository. */
export async function runCell(cell: CellRun): Promise<CellResult> {
  const outputDir = cell.outputDir ?? (await mkdtemp(join(tmpdir(), 'xen-domid-lab-')));
  await mkdir(outputDir, { recursive: true });
  const consoleLog = join(outputDir, 'console.log');
  const phase = (name: Phase): void => cell.onPhase?.(name);
  const name = `Xen ${cell.release} with ${cell.daemon}`;
  const scratch = await mkdtemp(join(tmpdir(), 'xen-domid-run-'));
  const sweep = (): void => rmSync(scratch, { recursive: true, force: true });
  process.once('exit', sweep);
  try {
    phase('image');
    const image = await withApt(() => imageOf(cell.release));
    const packages = await packagesLayer(image.architecture, cell.packages);
    const own = await writeRunLayer({ ...cell, env: cell.env ?? {} }, scratch);
    const initramfs = join(scratch, 'initramfs');
    await concatenate([...image.layers, ...(cell.layers ?? []), packages, own], initramfs);
    const resultDisk = join(scratch, 'result.disk');
    await makeDisk(resultDisk);
    phase('boot');
    const memory = cell.memory ?? 2048;
    await boot({
      image,
      initramfs,
      resultDisk,
      machineMemory: memory + (cell.guestMemory ?? memory),
      dom0Memory: memory,
      processors: cell.processors ?? 1,
      network: cell.network ?? false,
      consoleLog,
      bootTimeoutMs: cell.bootTimeoutMs ?? BOOT_TIMEOUT_MS,
      timeoutMs: cell.timeoutMs ?? TIMEOUT_MS,
      onConsoleLine: (line) => {
        if (line.startsWith(DOM0_UP)) phase('payload');
        cell.onConsoleLine?.(line);
      },
    }).catch(async (error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      throw new CellError(`${name}: ${reason}`, await lastWords(consoleLog), consoleLog, {
        cause: error,
      });
    });
    phase('result');
    const unpacked = join(scratch, 'result');
    await mkdir(unpacked);
    const status = await readResult(resultDisk, unpacked, outputDir).catch(
      async (error: unknown) => {
        const reason = `${name}: the machine went off without leaving a result`;
        throw new CellError(reason, await lastWords(consoleLog), consoleLog, { cause: error });
      },
    );
    return { status, outputDir, consoleLog };
  } finally {
    process.off('exit', sweep);
    await rm(scratch, { recursive: true, force: true });
  }
}
