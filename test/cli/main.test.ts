import { EventEmitter, once } from 'node:events';
import { constants } from 'node:os';
import { Readable } from 'node:stream';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { main } from '../../src/cli/main.ts';
import type { Io } from '../../src/cli/io.ts';
import { DominfFlag } from '../../src/domain.ts';
import { XenHypervisor } from '../../src/hypervisor/xen-hypervisor.ts';
import { METRICS_ADDRESS_FORM } from '../../src/service/http/metrics-address.ts';
import { ErrorCode, XenError } from '../../src/xen-error.ts';
import {
  ALIVE,
  type FakeDomain,
  type FakeXencall,
  fakeXen,
  RELEASES,
} from '../support/fake-xencall.ts';

const A = '6d4f1a5e-0b7c-4c4e-9d2a-00000000000a';
const B = '6d4f1a5e-0b7c-4c4e-9d2a-00000000000b';
const TWICE = '6d4f1a5e-0b7c-4c4e-9d2a-0000000000cc';
const DYING = '6d4f1a5e-0b7c-4c4e-9d2a-0000000000dd';
const UNKNOWN = '6d4f1a5e-0b7c-4c4e-9d2a-0000000000ff';
const UNKNOWN_TOO = '6d4f1a5e-0b7c-4c4e-9d2a-0000000000fe';
const NIL = '00000000-0000-0000-0000-000000000000';

let domains: FakeDomain[];
let names: Record<string, string>;
let output: { out: string; err: string };
let xen: FakeXencall;
let io: Io;
let input: string[];

beforeEach(() => {
  domains = [
    { domid: 0, uuid: NIL, flags: ALIVE | DominfFlag.RUNNING },
    { domid: 1, uuid: A, flags: ALIVE | DominfFlag.BLOCKED },
    { domid: 2, uuid: B, flags: (3 << 16) | DominfFlag.SHUTDOWN },
    { domid: 5, uuid: TWICE },
    { domid: 9, uuid: TWICE, flags: ALIVE | DominfFlag.PAUSED },
    { domid: 11, uuid: DYING, flags: ALIVE | DominfFlag.DYING },
  ];
  names = { '/local/domain/0/name': 'Domain-0', '/local/domain/1/name': 'one' };
  input = [];
  output = { out: '', err: '' };
  xen = fakeXen(RELEASES['4.17'], () => domains);
  io = {
    out: (text) => (output.out += text),
    err: (text) => (output.err += text),
    openHypervisor: async () => new XenHypervisor(xen, 'x86_64'),
    openXenstore: async () => ({
      read: async (path) => names[path],
      close: async () => undefined,
    }),
    connect: () => Promise.reject(new Error('--direct must not connect to the service')),
    input: () => Readable.from(input),
    inputIsTerminal: () => false,
    outputIsTerminal: () => false,
    columns: () => undefined,
    rows: () => undefined,
    onResize: () => undefined,
    environment: {},
    interrupted: () => new AbortController().signal,
    endSoon: () => undefined,
  };
});

const run = (...argv: string[]): Promise<number> => main(argv, io);

describe('lookup --direct', () => {
  it('prints only the domid for one UUID, in any letter case', async () => {
    expect(await run('lookup', A.toUpperCase(), '--direct')).toBe(0);
    expect(output).toEqual({ out: '1\n', err: '' });
    expect(xen.closed).toBe(true);
  });

  it('prints UUID and domid for several, a line each', async () => {
    expect(await run('lookup', '--direct', B, A)).toBe(0);
    expect(output.out).toBe(`${B} 2\n${A} 1\n`);
  });

  it('exits 1 for a UUID that no domain has', async () => {
    expect(await run('lookup', '--direct', UNKNOWN)).toBe(1);
    expect(output).toEqual({
      out: '',
      err: expect.stringContaining(`no domain has the UUID ${UNKNOWN}`),
    });
  });

  it('exits 1 if only a dying domain has the UUID', async () => {
    expect(await run('lookup', '--direct', DYING)).toBe(1);
  });

  it('exits 3 if two domains have the UUID, and picks neither', async () => {
    expect(await run('lookup', '--direct', TWICE)).toBe(3);
    expect(output).toEqual({ out: '', err: expect.stringContaining('domids 5, 9') });
  });

  it('exits with the highest of several statuses, and prints the domids found', async () => {
    expect(await run('lookup', '--direct', UNKNOWN, TWICE, A)).toBe(3);
    expect(output.out).toBe(`${A} 1\n`);
  });

  it('prints a JSON object a line, in the order asked', async () => {
    expect(await run('lookup', '--direct', '--json', TWICE, A, UNKNOWN)).toBe(3);
    const lines = output.out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
    expect(lines).toMatchObject([
      { uuid: TWICE, status: 'ambiguous', domains: [{ domid: 5 }, { domid: 9, paused: true }] },
      { uuid: A, status: 'found', domain: { domid: 1, uuid: A, blocked: true } },
      { uuid: UNKNOWN, status: 'notFound' },
    ]);
    expect(lines[1]).not.toHaveProperty('source');
  });

  it.each([
    ['one list for any number of UUIDs', [A, B], 1],
    ['one more list for all that the first one does not show', [A, B, UNKNOWN, UNKNOWN_TOO], 2],
  ])('makes %s', async (_, uuids, lists) => {
    await run('lookup', '--direct', ...uuids);
    expect(xen.calls.filter((hypercall) => hypercall === 35)).toHaveLength(lists + PROBES_OF_4_17);
  });

  it.each(['', 'abc', `${A}0`, A.slice(1), A.replace('6', 'g'), `{${A}`, `uuid:${A}`])(
    'exits 2 for %p, which is not a UUID, without a hypercall',
    async (text) => {
      expect(await run('lookup', '--direct', A, text)).toBe(2);
      expect(output.err).toContain('is not a UUID');
      expect(xen.calls).toEqual([]);
    },
  );

  it('makes a single look at a domain that was listed before its handle was complete', async () => {
    let listed = false;
    const { sysctl } = xen;
    domains.push({ domid: 20, uuid: NIL });
    xen.sysctl = (operation, self) => {
      const result = sysctl(operation, self);
      if (operation.getUint32(12, true) > 0) {
        listed = true;
        domains[domains.length - 1] = { domid: 20, uuid: UNKNOWN };
      }
      return result;
    };
    expect(await run('lookup', '--direct', UNKNOWN)).toBe(0);
    expect(listed).toBe(true);
    expect(output.out).toBe('20\n');
  });

  it('gives the other of two holders if one is renamed before its single look', async () => {
    const { sysctl } = xen;
    xen.sysctl = (operation, self) => {
      const result = sysctl(operation, self);
      if (operation.getUint32(12, true) > 0) domains[3] = { domid: 5, uuid: UNKNOWN };
      return result;
    };
    expect(await run('lookup', '--direct', TWICE)).toBe(0);
    expect(output.out).toBe('9\n');
  });

  it('gives the second of two holders if the first is gone once the second was read', async () => {
    const { domctl } = xen;
    xen.domctl = (operation, self) => {
      const asked = operation.getUint16(8, true);
      const result = domctl(operation, self);
      if (asked === 9) domains = domains.filter(({ domid }) => domid !== 5);
      return result;
    };
    expect(await run('lookup', '--direct', TWICE)).toBe(0);
    expect(output.out).toBe('9\n');
  });

  it('exits 4 if the hypervisor refuses, and says what to do', async () => {
    xen.sysctl = () => -constants.errno.EPERM;
    expect(await run('lookup', '--direct', A)).toBe(4);
    expect(output.err).toMatch(/EPERM.*dom0.* \[ERR_NOT_PERMITTED\]\n$/);
  });

  it('exits 4 where there is no Xen, in JSON too', async () => {
    io = {
      ...io,
      openHypervisor: async () => {
        throw new XenError(ErrorCode.NO_XEN, 'no Xen to ask here');
      },
    };
    expect(await run('lookup', '--direct', '--json', A)).toBe(4);
    expect(JSON.parse(output.err)).toEqual({
      error: { code: ErrorCode.NO_XEN, message: 'no Xen to ask here' },
    });
  });

  it('never reports an unexpected error as "not found"', async () => {
    io = { ...io, openHypervisor: () => Promise.reject(new TypeError('a bug')) };
    expect(await run('lookup', '--direct', A)).toBe(4);
  });
});

/** Interface versions 0x16 and then 0x15 are tried before 4.17 accepts. */
const PROBES_OF_4_17 = 2;

describe('list --direct', () => {
  it('prints what xl prints, with the UUID', async () => {
    expect(await run('list', '--direct')).toBe(0);
    const [head, ...rows] = output.out.trimEnd().split('\n');
    expect(head?.split(/\s+/)).toEqual([
      'Name',
      'ID',
      'Mem',
      'VCPUs',
      'State',
      'Time(s)',
      'UUID',
      'Reason',
    ]);
    expect(rows.map((line) => line.split(/\s+/))).toEqual([
      ['Domain-0', '0', '0', '0', 'r-----', '0.0', NIL, '-'],
      ['one', '1', '0', '0', '-b----', '0.0', A, '-'],
      ['-', '2', '0', '0', '---sc-', '0.0', B, 'crash'],
      ['-', '5', '0', '0', '------', '0.0', TWICE, '-'],
      ['-', '9', '0', '0', '--p---', '0.0', TWICE, '-'],
      ['-', '11', '0', '0', '-----d', '0.0', DYING, '-'],
    ]);
  });

  it('prints JSON with the names that xenstore has', async () => {
    expect(await run('list', '--direct', '--json')).toBe(0);
    const { domains: listed } = JSON.parse(output.out) as { domains: unknown[] };
    expect(listed).toHaveLength(domains.length);
    expect(listed[1]).toMatchObject({ domid: 1, uuid: A, name: 'one' });
    expect(listed[3]).not.toHaveProperty('name');
  });

  it('prints the list without names if xenstore is unreachable, and says why', async () => {
    io = { ...io, openXenstore: () => Promise.reject(new Error('nothing answers')) };
    expect(await run('list', '--direct')).toBe(0);
    expect(output.out.trimEnd().split('\n')).toHaveLength(1 + domains.length);
    expect(output.err).toContain('nothing answers');
  });

  it('prints a name without its control characters', async () => {
    names['/local/domain/1/name'] = 'evil\u001b[2J\nname\u009b0m\u202e\r\t\u0000 größe';
    await run('list', '--direct');
    expect(output.out.split('\n')).toHaveLength(2 + domains.length);
    expect(output.out).not.toMatch(/[^\n\P{C}]/u);
  });

  it('escapes control characters in JSON, from which a parser gets the name unchanged', async () => {
    const name = 'evil\u001b[2J\u009b0m\u202e\u2028 \u{e0001} größe';
    names['/local/domain/1/name'] = name;
    await run('list', '--direct', '--json');
    expect(output.out).not.toMatch(/[^\n\P{C}]/u);
    const { domains: listed } = JSON.parse(output.out) as { domains: unknown[] };
    expect(listed[1]).toMatchObject({ domid: 1, name });
  });

  it('requests 1000 names at once, not one after the other', async () => {
    domains = Array.from({ length: 1000 }, (_, domid) => ({ domid, uuid: A }));
    let asked = 0;
    const all = new EventEmitter().setMaxListeners(1000);
    const read = async (path: string): Promise<string> => {
      if (++asked === 1000) setImmediate(() => all.emit('asked'));
      await once(all, 'asked');
      return `vm-${path.split('/')[3]}`;
    };
    io = { ...io, openXenstore: async () => ({ read, close: async () => undefined }) };
    expect(await run('list', '--direct')).toBe(0);
    expect(output.out).toMatch(/^vm-999 +999 /m);
  });

  it('prints the names read so far if xenstore disconnects', async () => {
    io = {
      ...io,
      openXenstore: async () => ({
        read: async (path) => {
          if (path in names) return names[path];
          throw new Error('the connection ended');
        },
        close: async () => undefined,
      }),
    };
    expect(await run('list', '--direct')).toBe(0);
    expect(output.out).toMatch(/^one +1 /m);
    expect(output.err).toContain('names are missing: the connection ended');
  });
});

describe('usage', () => {
  it.each([
    [['lookup', '--direct'], 'needs a UUID'],
    [['stats', 'more'], 'takes no argument'],
    [['list', '--direct', 'more'], '"more" is not a UUID'],
    [['help', 'frobnicate'], 'unknown command "frobnicate", expected lookup'],
    [['help', 'list', 'watch'], 'help takes one command, for example: help lookup'],
    [
      ['completion'],
      'completion needs one of bash, zsh, fish, not ""; for example: xen-domid completion bash',
    ],
    [['completion', 'tcsh'], 'completion needs one of bash, zsh, fish, not "tcsh"'],
    [['list', '--watch'], 'this is none; use: xen-domid watch\n'],
    [['list', '--watch', '--direct'], '--watch needs the service'],
    [['list', '--watch', '--json'], 'for JSON: xen-domid watch'],
    [['watch', '--since', 'yesterday'], 'for example --since 1f0c9a7be2d4f681:17, not "yesterday"'],
    [['watch', '--uuid', 'web-1'], '"web-1" is not a UUID'],
    [['serve', '--json'], 'serve has no option --json'],
    [
      ['frobnicate'],
      'unknown command "frobnicate", expected lookup, wait, list, watch, stats, table, serve, pool, storm, completion or help\nTry: xen-domid --help',
    ],
    [
      [],
      'expected a command: lookup, wait, list, watch, stats, table, serve, pool, storm, completion or help\n',
    ],
    [['list', '--frobnicate'], 'unknown option --frobnicate\nTry: xen-domid list --help'],
    [['list', '--frob\u001b[2J=3'], 'unknown option --frob?[2J\n'],
    [['list', '-x'], 'unknown option -x\n'],
    [['list', '--__proto__'], 'unknown option --__proto__\n'],
    [['list', '--json=yes'], '--json takes no value\n'],
    [
      ['list', '--socket', '/a', '--sort=name', '--socket=/b'],
      '--socket is given twice, with "/a" and "/b": leave one out\n',
    ],
    [
      ['wait', A, '--timeout', '1s', '--timeout', '1s'],
      '--timeout is given twice, with "1s" and "1s": leave one out\n',
    ],
    [
      ['pool', 'serve', '--nats=\u001b[2J', '--nats=b'],
      '--nats is given twice, with "\\u001b[2J" and "b": leave one out\n',
    ],
    [['serve', '--simulate'], '--simulate needs a value\n'],
    [['serve', '--simulate', '-1'], '--simulate needs a value; to pass -1, write --simulate=-1\n'],
    [['list', '--socket', ''], '--socket needs a value\n'],
    [['serve', '--simulate', '2', '--socket='], '--socket needs a value\n'],
    [
      ['list', '--socket', '--sort'],
      '--socket needs a value; to pass --sort, write --socket=--sort\n',
    ],
    [['serve', '--simulate=-1'], '--simulate needs a whole number from 0 to 30000'],
    [['serve', '--metrics', 'foo'], `--metrics "foo": ${METRICS_ADDRESS_FORM}`],
    [['serve', '--simulate', '2', '--metrics', '[::1]:99999'], METRICS_ADDRESS_FORM],
    [['list', '--vms', '3'], 'list has no option --vms'],
    [
      ['list', '--direct', '--sort', 'size'],
      '--sort takes domid, name, uuid, memory, vcpus, time, not "size"; for example: --sort memory',
    ],
    [['storm', '--vms', '0'], '--vms needs a whole number'],
  ])('%j exits 2 and says what is wrong', async (argv, message) => {
    expect(await run(...argv)).toBe(2);
    expect(output.err).toContain(message);
    expect(output.out).toBe('');
  });

  it.each([[['--help']], [['lookup', '--help']], [['list', '-h']], [['help']], [['help', 'list']]])(
    '%j prints help with the exit statuses',
    async (argv) => {
      expect(await run(...argv)).toBe(0);
      expect(output.out).toMatch(/Exit status: 0 done; 1 not found/);
    },
  );

  it.each(['--version', '-V'])('%s prints the version of the package', async (option) => {
    expect(await run(option)).toBe(0);
    expect(output.out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});
