/** The reader in C over libxencall, which knows no structure of Xen: `readers/calls.c` on the host of `readers/xencall.c`. */
import { afterAll, expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DominfFlag } from '../../src/domain.ts';
import {
  DOMCTL_BYTES,
  DomctlCommand,
  DomctlOffset,
  DominfoOffset,
  INTERFACES,
} from '../../src/hypervisor/layout.ts';
import { Hypercall } from '../../src/hypervisor/xencall.ts';

const sources = join(import.meta.dirname, '../../../test/table/readers');
const clients = join(import.meta.dirname, '../../../docs/clients');
const scratch = mkdtempSync(join(tmpdir(), 'table-calls-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** The host has the numbers of our own binding, so that those in the header cannot differ from them. */
const INTERFACE = Object.entries({
  HYPERCALL_DOMCTL: Hypercall.domctl,
  GETDOMAININFO: DomctlCommand.getdomaininfo,
  DYING: DominfFlag.DYING,
  DOMCTL_BYTES,
  AT_CMD: DomctlOffset.cmd,
  AT_VERSION: DomctlOffset.interfaceVersion,
  AT_DOMAIN: DomctlOffset.domain,
  AT_INFO: DomctlOffset.u,
  AT_INFO_DOMAIN: DominfoOffset.domain,
  AT_INFO_FLAGS: DominfoOffset.flags,
  AT_INFO_HANDLE: DominfoOffset.handle,
}).map(([name, value]) => `-D${name}=${value}`);

const KNOWN = new Set(INTERFACES.map(({ domctl }) => domctl));
const TRIED = Array.from({ length: 0x20 }, (_, version) => version);

const STRICT = ['-Wall', '-Wextra', '-Werror', '-g', '-I', clients, '-I', sources];
const MEMORY = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
const THREADS = ['-fsanitize=thread'];

interface Build {
  readonly language: string;
  readonly compiler: string;
  readonly options: readonly string[];
  readonly sanitizers: readonly string[];
}

const BUILDS: readonly Build[] = [
  {
    language: 'C99',
    compiler: 'gcc',
    options: ['-std=c99', '-D_POSIX_C_SOURCE=200809L'],
    sanitizers: MEMORY,
  },
  { language: 'C17', compiler: 'gcc', options: ['-std=gnu17'], sanitizers: THREADS },
  { language: 'C++', compiler: 'g++', options: ['-x', 'c++', '-std=c++11'], sanitizers: MEMORY },
];

test.each(BUILDS)(
  'in $language libxencall confirms by the interface version of each release, in several threads, without an allocation',
  ({ compiler, options, sanitizers }) => {
    if (process.env['CI'] === undefined && spawnSync(compiler, ['--version']).error) return;
    const program = join(scratch, 'calls');
    const host = `${program}-host.o`;
    const warnings = ['-pedantic', '-Wshadow', '-Wconversion'];
    const linked = ['-x', 'none', host, '-pthread', '-o', program];
    const steps = [
      ['gcc', '-c', ...INTERFACE, join(sources, 'xencall.c'), '-o', host],
      [compiler, ...options, ...warnings, join(sources, 'calls.c'), ...linked],
    ] as const;
    for (const [command, ...args] of steps) {
      const { stderr } = spawnSync(command, [...STRICT, ...sanitizers, ...args]);
      expect(stderr.toString()).toBe('');
    }
    const { stdout, stderr } = spawnSync(program, { encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(stdout.trimEnd().split('\n')).toEqual([
      ...TRIED.map(
        (tried) => `version ${tried}: ${KNOWN.has(tried) ? 'open' : 'Permission denied'}`,
      ),
      'no domain 0: open, 0',
      'no control domain: Operation not permitted, 0',
      'denied: Permission denied, 0',
      'no libxencall: Invalid argument, 0',
      'no memory: Cannot allocate memory, 0',
      '0 buffers are left',
      '1: 0, handle 00 to 00',
      '2: 1, handle 02 to 02',
      '3: 0, handle 00 to 00',
      '4: 0, handle 00 to 00',
      'within each other: 28 confirmed, 1 not',
      'in threads: 4000 confirmed, 0 not',
      '0 allocations',
    ]);
  },
);
