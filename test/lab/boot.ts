/** One run of QEMU, from power-on until the machine switches off or times out. */
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';

import type { Image } from './image.ts';

/** Written by init.sh once xenstored listens and the payload is about to run. */
export const DOM0_UP = 'lab: dom0 is up';

const QEMU = { amd64: 'qemu-system-x86_64', arm64: 'qemu-system-aarch64' } as const;

export interface Boot {
  readonly image: Image;
  /** All layers in one file. */
  readonly initramfs: string;
  /** Raw disk for dom0's result. */
  readonly resultDisk: string;
  /** Memory of the machine and of dom0, MiB. */
  readonly machineMemory: number;
  readonly dom0Memory: number;
  /** Processors of the machine and of dom0. One is faster than two, unless the payload needs both. */
  readonly processors: number;
  /** Whether dom0 reaches this machine's loopback, at 10.0.2.2. */
  readonly network: boolean;
  readonly consoleLog: string;
  readonly bootTimeoutMs: number;
  readonly timeoutMs: number;
  readonly onConsoleLine: (line: string) => void;
}

function qemuArguments(machine: Boot): string[] {
  const common = [
    ['-accel', 'tcg', '-smp', String(machine.processors)],
    ['-m', `${machine.machineMemory}M`, '-nodefaults', '-no-user-config', '-no-reboot'],
    ['-display', 'none', '-serial', 'stdio', '-monitor', 'none'],
    ['-drive', `file=${machine.resultDisk},format=raw,if=virtio,cache=unsafe`],
    machine.network ? ['-netdev', 'user,id=net', '-device', 'virtio-net-pci,netdev=net'] : [],
  ].flat();
  return [...common, ...(machine.image.architecture === 'amd64' ? x86(machine) : arm(machine))];
}

/** Where the kernel and the initramfs of dom0 are loaded to: past Xen, its device tree, and each other. */
const ARM_KERNEL = '0x49000000';
const ARM_INITRAMFS = '0x60000000';

function arm({ image, initramfs, dom0Memory }: Boot): string[] {
  const xen = `console=dtuart dtuart=/pl011@9000000 dom0_mem=${dom0Memory}M bootscrub=0`;
  const dom0 = 'console=hvc0 rdinit=/init quiet panic=1';
  return [
    // QEMU's older processors have 8 bits for the number of a virtual machine, and room for 255 domains; this one has 16.
    ['-machine', 'virt,virtualization=on,gic-version=3', '-cpu', 'neoverse-n1'],
    ['-kernel', image.hypervisor, '-append', xen],
    ['-device', `guest-loader,addr=${ARM_KERNEL},kernel=${image.kernel},bootargs=${dom0}`],
    ['-device', `guest-loader,addr=${ARM_INITRAMFS},initrd=${initramfs}`],
  ].flat();
}

function x86(machine: Boot): string[] {
  const memory = `${machine.dom0Memory}M`;
  // Scrubbing would touch all of the machine's memory, which QEMU would then allocate.
  const xen = `console=com1 com1=115200,8n1 dom0_mem=${memory},max:${memory} bootscrub=0`;
  const dom0 = `${machine.image.kernel} console=hvc0 rdinit=/init quiet panic=1`;
  return [
    ['-machine', 'q35', '-cpu', 'qemu64,+svm,+npt'],
    ['-kernel', machine.image.hypervisor, '-append', xen],
    ['-initrd', `${dom0},${machine.initramfs}`],
  ].flat();
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}

/**
 * Boots the machine and waits for its end.
 * @throws Error if dom0 does not come up, or the run does not end, in time; QEMU is gone then.
 */
export async function boot(machine: Boot): Promise<void> {
  // Kills the machine when this process ends for any reason.
  const program = QEMU[machine.image.architecture];
  const command = ['--pdeathsig', 'KILL', program, ...qemuArguments(machine)];
  const qemu = spawn('setpriv', command, { stdio: ['ignore', 'pipe', 'pipe'] });
  const log = createWriteStream(machine.consoleLog);
  let said = '';
  let trouble: Error | undefined;
  const giveUp = (reason: string): void => {
    trouble ??= new Error(reason);
    qemu.kill('SIGKILL');
  };
  const bootTimer = setTimeout(
    () => giveUp(`dom0 did not come up within ${seconds(machine.bootTimeoutMs)}`),
    machine.bootTimeoutMs,
  );
  const timer = setTimeout(
    () => giveUp(`the run did not end within ${seconds(machine.timeoutMs)}`),
    machine.timeoutMs,
  );

  let unfinished = '';
  qemu.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (unfinished + chunk).split('\n');
    unfinished = lines.pop() ?? '';
    for (const ended of lines) {
      // Carriage returns of dom0 and of Xen.
      const line = ended.replace(/\r+$/, '');
      log.write(`${line}\n`);
      if (line.startsWith(DOM0_UP)) clearTimeout(bootTimer);
      machine.onConsoleLine(line);
    }
  });
  qemu.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString('utf8');
    log.write(chunk);
  });
  try {
    const status = await new Promise<number | null>((resolve, reject) => {
      qemu.on('error', reject);
      qemu.on('close', resolve);
    });
    if (trouble !== undefined) throw trouble;
    if (status !== 0) throw new Error(`${program}: exit ${status}\n${said}`);
  } finally {
    clearTimeout(bootTimer);
    clearTimeout(timer);
    await new Promise((resolve) => log.end(unfinished, () => resolve(undefined)));
  }
}
