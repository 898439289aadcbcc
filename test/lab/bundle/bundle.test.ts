/**
 * The bundle in a dom0 with a userland, in `/old`, that is too old for Node. Kernel and Xen are the cell's;
 * programs in the chroot see none of the cell's own libraries.
 */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, readlink, rm, symlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';

import {
  command,
  destroyAll,
  type Made,
  makeBare,
  makeIntroduced,
  until,
  witness,
} from '../dom0.ts';
import { endServices, startService } from '../service.ts';

const OLD = '/old';
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin';
const UNKNOWN = '6d4f1a5e-0b7c-4c4e-9d2a-3f1e5b7a9c01';
/** Under emulation, node takes seconds to start, and longer to be unpacked. */
const SLOW_MS = 300_000;

interface Ran {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

const children = new Set<ChildProcess>();
/** Output of the started programs, until they end. */
let lines: string[] = [];

/** Runs a program in the old userland. */
async function inOld(...words: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    execFile('chroot', [OLD, ...words], { cwd: '/', env: { PATH } }, (error, out, err) => {
      resolve({ status: error === null ? 0 : Number(error.code ?? 1), out, err });
    });
  });
}

/** Starts `xen-domid` in the old userland, without waiting for its end. */
function start(...args: readonly string[]): ChildProcess {
  const words = [OLD, '/usr/local/bin/xen-domid', ...args];
  const child = spawn('chroot', words, {
    cwd: '/',
    env: { PATH },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [child.stdout, child.stderr])
    createInterface(stream).on('line', (line) => lines.push(line));
  children.add(child);
  return child;
}

async function startServiceInOld(): Promise<ChildProcess> {
  const service = start('serve');
  await until(async () => (await xenDomid('stats')).status === 0, {
    what: 'the service answers',
    timeoutMs: 90_000,
  });
  return service;
}

const xenDomid = async (...args: readonly string[]): Promise<Ran> =>
  inOld('/usr/local/bin/xen-domid', ...args);

const named = ({ domid, uuid }: Made): string => `${domid} ${uuid}`;

/** Returns the files that a process has mapped, by its own names. */
async function mappedBy(pid: number | undefined): Promise<string[]> {
  const maps = await readFile(`/proc/${pid}/maps`, 'utf8');
  const files = [...maps.matchAll(/ (\/\S+\.so\S*|\/\S+\.node)$/gm)].map(([, file = '']) => file);
  return [...new Set(files)].toSorted();
}

beforeAll(async () => {
  for (const folder of ['dev', 'proc', 'run'])
    await command('mount', '-o', 'rbind', `/${folder}`, join(OLD, folder));
  // The commands of docs/operations.md.
  await command('chroot', OLD, 'tar', '-xzf', '/bundle.tar.gz', '-C', '/opt');
  const [name = ''] = await readdir(join(OLD, 'opt'));
  await command('chroot', OLD, 'ln', '-sfn', name, '/opt/xen-domid');
  await command('chroot', OLD, 'ln', '-sfn', '/opt/xen-domid/bin/xen-domid', '/usr/local/bin/');
}, SLOW_MS);

afterEach(async () => {
  const ended = [...children].map(async (child) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  await Promise.all(ended);
  children.clear();
  lines = [];
  await endServices();
  await destroyAll();
}, 60_000);

afterAll(async () => {
  for (const folder of ['dev', 'proc', 'run'])
    await command('umount', '-l', join(OLD, folder)).catch(() => undefined);
});

test('the dom0 is without a network, and its own glibc is too old for Node', async () => {
  expect(await readdir('/sys/class/net')).toEqual(['lo']);
  const { status, err } = await inOld('/opt/xen-domid/node/bin/node', '--version');
  expect(status).not.toBe(0);
  expect(err).toMatch(/version `GLIBC_2\.28' not found/);
  expect((await inOld('/bin/sh', '-c', 'echo runs')).out).toBe('runs\n');
});

test(
  'what is unpacked is what its list of sums says, and nothing else',
  async () => {
    const sums = 'cd /opt/xen-domid && sha256sum -c SHA256SUMS | grep -v ": OK$"';
    const { out, err } = await inOld('/bin/sh', '-c', sums.replace('grep', 'busybox grep'));
    expect({ out, err }).toEqual({ out: '', err: '' });
  },
  SLOW_MS,
);

test(
  'it finds domains by UUID as the hypervisor has them, without a service',
  async () => {
    const made = await makeBare(3);
    for (const { uuid, domid } of made)
      expect(await xenDomid('lookup', '--direct', uuid)).toMatchObject({
        status: 0,
        out: `${domid}\n`,
      });
    expect((await xenDomid('lookup', '--direct', UNKNOWN)).status).toBe(1);
  },
  SLOW_MS,
);

test(
  'its service answers as the hypervisor would, and tells of what comes and goes',
  async () => {
    const made = await makeBare(2);
    await startServiceInOld();
    for (const { uuid, domid } of made)
      expect(await xenDomid('lookup', uuid)).toMatchObject({ status: 0, out: `${domid}\n` });
    expect((await xenDomid('lookup', UNKNOWN)).status).toBe(1);
    const listed = JSON.parse((await xenDomid('list', '--json')).out) as { domains: Made[] };
    expect(listed.domains.map(named)).toEqual((await witness()).map(named));

    start('watch');
    await until(() => lines.some((line) => line.includes('watching')), {
      what: 'the watcher is told',
      timeoutMs: 90_000,
    });
    const [one] = await makeIntroduced(1);
    await until(() => lines.some((line) => line.includes(one?.uuid ?? 'none')), {
      what: 'the watcher prints a new domain',
    });
  },
  SLOW_MS,
);

test(
  "the service has the bundle's C library and the host's libxencall, and no library twice",
  async () => {
    const service = await startServiceInOld();
    const files = await mappedBy(service.pid);
    const [name = ''] = await readdir(join(OLD, 'opt'), { withFileTypes: true }).then((entries) =>
      entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name),
    );
    const from = (folder: string): string[] =>
      files
        .filter((file) => file.startsWith(join(OLD, folder)) || file.startsWith(folder))
        .map((file) => basename(file));
    expect(from('/usr/lib64').map((file) => file.replace(/\.so.*/, ''))).toEqual([
      'libxencall',
      'libxentoolcore',
      'libxentoollog',
    ]);
    expect(from(`/opt/${name}/lib`)).toEqual(
      expect.arrayContaining(['ld-linux-x86-64.so.2', 'libc.so.6', 'libpthread.so.0']),
    );
    const names = files.map((file) => basename(file).replace(/\.so.*/, ''));
    expect(names).toEqual([...new Set(names)]);
  },
  SLOW_MS,
);

test.each([
  ['the bundle', 'bin/xen-domid', 'ld-linux-x86-64.so.2'],
  ["the packed package, on the cell's own Node", 'package/dist/src/cli/bin.cjs', 'node'],
])(
  '%s starts as the unit says, confined, without a capability',
  async (_, program, executable) => {
    await mkdir('/opt', { recursive: true });
    await command('mount', '-o', 'bind', join(OLD, 'opt'), '/opt');
    await mkdir('/usr/local/bin', { recursive: true });
    await symlink(join('/opt/xen-domid', program), '/usr/local/bin/xen-domid');
    try {
      const unit = await readFile('/opt/xen-domid/systemd/xen-domid.service', 'utf8');
      expect(unit).toContain('\nExecStart=/opt/xen-domid/bin/xen-domid serve\n');
      const [made] = await makeBare(1);
      const service = await startService();
      expect(basename(await readlink(`/proc/${service.pid}/exe`))).toBe(executable);
      const { out } = await xenDomid('lookup', made?.uuid ?? '');
      expect(out).toBe(`${made?.domid}\n`);
    } finally {
      await rm('/usr/local/bin/xen-domid');
      await command('umount', '-l', '/opt');
    }
  },
  SLOW_MS,
);
