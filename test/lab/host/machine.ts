/** A Debian host in QEMU, and the shell in it: booted, asked, rebooted, switched off. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { run } from '../run.ts';
import type { HostImage } from './host-image.ts';

const MACHINE_MEMORY_MIB = 2048;
const DOM0_MEMORY_MIB = 1024;
const BOOT_TIMEOUT_MS = 1_200_000;
const COMMAND_TIMEOUT_MS = 1_200_000;

export interface Said {
  readonly status: number;
  /** Standard output and standard error, without the last line feed. */
  readonly out: string;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function drive(file: string, more = ''): string {
  return `file=${file},format=raw,if=virtio,cache=unsafe${more}`;
}

/** The hypervisor with the kernel in dom0, or the kernel without Xen. */
export type BootEntry = 'xen' | 'linux';

function bootArguments({ hypervisor, kernel, initramfs }: HostImage, entry: BootEntry): string[] {
  const options = 'rdinit=/init loglevel=4 panic=1 systemd.show_status=0';
  if (entry === 'linux')
    return ['-kernel', kernel, '-append', `console=ttyS0 ${options}`, '-initrd', initramfs];
  const memory = `${DOM0_MEMORY_MIB}M`;
  const xen = `console=com1 com1=115200,8n1 dom0_mem=${memory},max:${memory} bootscrub=0`;
  return [
    ['-kernel', hypervisor, '-append', xen],
    ['-initrd', `${kernel} console=hvc0 ${options},${initramfs}`],
  ].flat();
}

function qemuArguments(disk: string, payload: string, socket: string): string[] {
  return [
    ['-machine', 'q35', '-accel', 'tcg', '-cpu', 'qemu64,+svm,+npt', '-smp', '1'],
    ['-m', `${MACHINE_MEMORY_MIB}M`, '-nodefaults', '-no-user-config', '-no-reboot'],
    ['-display', 'none', '-serial', 'stdio', '-monitor', 'none'],
    ['-drive', drive(disk), '-drive', drive(payload, ',readonly=on')],
    ['-chardev', `socket,id=shell,path=${socket},server=on,wait=off`],
    ['-device', 'virtio-serial-pci', '-device', 'virtserialport,chardev=shell,name=shell'],
  ].flat();
}

export class Machine {
  readonly #image: HostImage;
  readonly #directory: string;
  readonly #payload: string;
  readonly #log: WriteStream;
  #qemu: ChildProcess | undefined;
  #shell: Socket | undefined;
  #received = '';
  #commands = 0;

  private constructor(image: HostImage, directory: string, payload: string) {
    this.#image = image;
    this.#directory = directory;
    this.#payload = payload;
    this.#log = createWriteStream(join(directory, 'console.log'));
  }

  /** A machine with a copy of the image's disk in `directory`, and the archive `payload` as its second disk. */
  static async make(image: HostImage, directory: string, payload: string): Promise<Machine> {
    const machine = new Machine(image, directory, payload);
    await run('cp', ['--sparse=always', image.disk, machine.#disk]);
    return machine;
  }

  get #disk(): string {
    return join(this.#directory, 'disk.img');
  }

  /**
   * Starts the machine and waits for its shell.
   * @returns the time that took, ms.
   */
  async boot(entry: BootEntry = 'xen'): Promise<number> {
    const begin = performance.now();
    const socket = join(this.#directory, 'shell.sock');
    const options = qemuArguments(this.#disk, this.#payload, socket);
    const boot = bootArguments(this.#image, entry);
    const command = ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...options, ...boot];
    const qemu = spawn('setpriv', command, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#qemu = qemu;
    qemu.stdout.on('data', (chunk: Buffer) => this.#log.write(chunk));
    qemu.stderr.on('data', (chunk: Buffer) => this.#log.write(chunk));
    const deadline = begin + BOOT_TIMEOUT_MS;
    this.#shell = await this.#connect(socket, deadline);
    // Input sent before the shell reads may be lost: repeat it until the shell answers.
    while ((await this.sh('true', 2000).catch(() => undefined)) === undefined) {
      if (qemu.exitCode !== null) throw new Error(`QEMU ended with status ${qemu.exitCode}`);
      if (performance.now() > deadline)
        throw new Error(`the host did not come up within ${BOOT_TIMEOUT_MS / 1000} s`);
    }
    return performance.now() - begin;
  }

  /** Runs `script` in a bash of its own; a script that does not end in time is an error. */
  async sh(script: string, timeoutMs: number = COMMAND_TIMEOUT_MS): Promise<Said> {
    const shell = this.#shell;
    if (shell === undefined) throw new Error('the machine is switched off');
    this.#commands += 1;
    const mark = `lab-end-${this.#commands}`;
    // The mark is put together there, so that an echo of the command is not taken for it.
    shell.write(
      `( eval ${quoted(script)} ) </dev/null 2>&1; printf '\\n%s-%s %s\\n' lab-end ${this.#commands} $?\n`,
    );
    const end = new RegExp(`\\n${mark} (\\d+)\\n`);
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const found = end.exec(this.#received);
      if (found !== null) {
        const text = this.#received.slice(0, found.index);
        this.#received = this.#received.slice(found.index + found[0].length);
        this.#log.write(`\nlab$ ${script}\n${text}\n`);
        return { status: Number(found[1]), out: text.replace(/\n+$/, '') };
      }
      if (performance.now() > deadline)
        throw new Error(
          `no end within ${timeoutMs / 1000} s: ${script}\n${this.#received.slice(-2000)}`,
        );
      await sleep(20);
    }
  }

  /** Restarts the machine by systemd; the disk stays. */
  async reboot(entry: BootEntry = 'xen'): Promise<number> {
    await this.#end('reboot');
    return this.boot(entry);
  }

  async off(): Promise<void> {
    if (this.#qemu !== undefined) await this.#end('poweroff').catch(() => undefined);
    this.#qemu?.kill('SIGKILL');
    this.#log.end();
  }

  async #end(how: 'reboot' | 'poweroff'): Promise<void> {
    const qemu = this.#qemu;
    if (qemu === undefined || qemu.exitCode !== null) return;
    const ended = once(qemu, 'close');
    this.#shell?.write(`systemctl ${how}\n`);
    const late = sleep(COMMAND_TIMEOUT_MS, 'late', { ref: false });
    const result = await Promise.race([ended, late]);
    this.#shell?.destroy();
    this.#shell = undefined;
    this.#qemu = undefined;
    this.#received = '';
    if (result !== 'late') return;
    qemu.kill('SIGKILL');
    throw new Error(`systemctl ${how} did not end the machine in ${COMMAND_TIMEOUT_MS / 1000} s`);
  }

  async #connect(path: string, deadline: number): Promise<Socket> {
    for (;;) {
      const socket = connect(path);
      try {
        await once(socket, 'connect');
        socket.setEncoding('utf8').on('data', (text: string) => (this.#received += text));
        socket.on('error', () => undefined);
        return socket;
      } catch (error) {
        if (performance.now() > deadline) throw error;
        await sleep(100);
      }
    }
  }
}
