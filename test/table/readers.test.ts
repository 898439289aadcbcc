/** The readers in C, C++, Python and OCaml: the same answers as the service, and nothing that a file can do to them. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Domid } from '../../src/domain.ts';
import { CHANGING_FROM, HeaderOffset, TableImage, TableState } from '../../src/table/layout.ts';
import { readTable } from '../../src/table/table-reader.ts';
import { parseUuid, type UuidWords, uuidWords } from '../../src/uuid.ts';
import { cannot } from '../lab/cannot.ts';
import { DB, ExampleService, NEW, WEB } from '../support/example-service.ts';
import { Random } from '../support/random.ts';
import { buildReader, missingTool, type Reader, READERS, ReaderProcess } from './readers.ts';
import { uuidOfNumber } from './uuids.ts';

const NIL = '00000000-0000-0000-0000-000000000000';
const TOMBSTONE = 'deadbeef-dead-beef-dead-beef00000007';
const FUZZED_FILES = 400;

const scratch = mkdtempSync(join(tmpdir(), 'table-readers-'));
const table = join(scratch, 'domids');
const present = READERS.filter((reader) => missingTool(reader) === undefined);

beforeAll(() => present.forEach((reader) => buildReader(reader, scratch)), 120_000);
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe.each(READERS)('the reader in $language', (reader: Reader) => {
  const tool = missingTool(reader);
  const mayMiss = process.env['CI'] === undefined;
  const scenario = cannot(mayMiss && tool !== undefined && `${tool} is not installed`);
  let example: ExampleService;
  let running: ReaderProcess;

  beforeEach(async () => {
    example = await ExampleService.start({ table });
    running = new ReaderProcess(reader, scratch, `socket:${example.socketPath}`);
  });
  afterEach(async () => {
    expect(await running.end()).toEqual({ status: 0, err: '' });
    await example.close();
    rmSync(table, { force: true });
  });

  const ask = (...commands: string[]): Promise<string[]> => running.ask(...commands);

  scenario('finds domains, and has no answer where there is none', async () => {
    expect(await ask(`lookup ${WEB}`)).toEqual(['ask']);
    expect(await ask(`open ${table}`, `lookup ${WEB}`, `lookup ${WEB.toUpperCase()}`)).toEqual([
      'open',
      'found 7',
      'found 7',
    ]);
    expect(await ask(`lookup ${DB}`, `lookup ${NEW}`)).toEqual(['found 3', 'ask']);
    expect(await ask(`lookup ${NIL}`, `lookup ${TOMBSTONE}`, 'lookup web-1')).toEqual([
      'invalid',
      'invalid',
      'invalid',
    ]);
    expect(await ask('retired')).toEqual(['no']);
  });

  scenario('has no answer for a domain that has gone, is dying, or has another UUID', async () => {
    expect(await ask(`open ${table}`, `lookup ${WEB}`)).toEqual(['open', 'found 7']);
    // A copy keeps the hints as they were: the service removes them from its own table.
    const copy = join(scratch, 'copy');
    writeFileSync(copy, readFileSync(table));
    example.destroy(7);
    example.host.setHandle(3, uuidOfNumber(1));
    expect(
      await ask(`open ${copy}`, `hint ${WEB}`, `lookup ${WEB}`, `hint ${DB}`, `lookup ${DB}`),
    ).toEqual(['open', 'found 7', 'ask', 'found 3', 'ask']);
    example.boot(7, NEW, 'web-2');
    expect(await ask(`lookup ${WEB}`)).toEqual(['ask']);
    example.host.setHandle(3, parseUuid(DB));
    expect(await ask(`lookup ${DB}`)).toEqual(['found 3']);
    example.host.hold(3);
    example.destroy(3);
    expect(await ask(`lookup ${DB}`)).toEqual(['ask']);
  });

  scenario('finds nothing wrong where the writer stopped between any two bytes', async () => {
    // One bucket, in which UUIDs leave their slots to others.
    const image = new TableImage({ headerBytes: 4096, buckets: 1, bucketBytes: 128, slots: 7 });
    const [web, db, other] = [WEB, DB, NEW].map((uuid) => uuidWords(parseUuid(uuid))) as [
      UuidWords,
      UuidWords,
      UuidWords,
    ];
    image.add(other, 7 as Domid);
    image.add(db, 3 as Domid);
    image.add(web, 8 as Domid);
    const before = Buffer.from(image.bytes);
    image.remove(other, 7 as Domid, () => []);
    image.remove(web, 8 as Domid, () => []);
    image.add(web, 7 as Domid);
    const torn = join(scratch, 'torn');
    const answers = new Set<string>();
    for (let cut = 4096; cut <= before.length; cut++) {
      if (cut > 4096 && before[cut - 1] === image.bytes[cut - 1]) continue;
      writeFileSync(torn, Buffer.concat([image.bytes.subarray(0, cut), before.subarray(cut)]));
      // oxlint-disable-next-line no-await-in-loop -- one file after the other
      const [, ...said] = await ask(
        `open ${torn}`,
        ...[WEB, DB, NEW].map((uuid) => `lookup ${uuid}`),
      );
      answers.add(said.join(', '));
    }
    expect([...answers].toSorted()).toEqual(['ask, found 3, ask', 'found 7, found 3, ask']);
  });

  scenario('has no answer for a UUID that several domains have', async () => {
    example.boot(12, WEB, 'twin');
    await example.list();
    expect(await ask(`open ${table}`, `lookup ${WEB}`)).toEqual(['open', 'ask']);
    example.destroy(7);
    await example.list();
    expect(await ask(`lookup ${WEB}`)).toEqual(['found 12']);
  });

  scenario('reads the same mapping over a restart of the service', async () => {
    expect(await ask(`open ${table}`, `hint ${WEB}`)).toEqual(['open', 'found 7']);
    await example.stopService();
    expect(await ask(`hint ${WEB}`)).toEqual(['found 7']);
    example.boot(8, NEW, 'web-2');
    await example.startService();
    expect(await ask(`hint ${NEW}`)).toEqual(['found 8']);
  });

  scenario('finds every UUID in a table with 32,752, but the few without a slot', async () => {
    const image = new TableImage();
    const uuids = Array.from({ length: 0x7ff0 }, (_, number) => uuidOfNumber(number));
    uuids.forEach((uuid, domid) => image.add(uuidWords(uuid), domid as Domid));
    const full = join(scratch, 'full');
    writeFileSync(full, image.bytes);
    const contents = readTable(full);
    // Every third: a process that answers 32,752 lines under a sanitizer takes seconds.
    const some = uuids.filter((_, number) => number % 3 === 0);
    const [opened, ...answers] = await ask(`open ${full}`, ...some.map((uuid) => `hint ${uuid}`));
    expect(opened).toBe('open');
    expect(answers).toEqual(
      some.map((uuid) => {
        const entry = contents.find(uuid);
        return entry === undefined ? 'ask' : `found ${entry.domid}`;
      }),
    );
    expect(answers).toContain('ask');
  });

  scenario('is told that another file is at the path', async () => {
    const image = new TableImage();
    image.bytes.writeUInt32LE(TableState.retired, HeaderOffset.state);
    const retired = join(scratch, 'retired');
    writeFileSync(retired, image.bytes);
    expect(await ask(`open ${retired}`, 'retired')).toEqual(['open', 'yes']);
  });

  scenario('survives any bytes in the file, and refuses a geometry that leaves it', async () => {
    const random = new Random(Number(process.env['TABLE_FUZZ_SEED'] ?? 1));
    const files = reader.language === 'C' ? FUZZED_FILES : FUZZED_FILES / 8;
    const path = join(scratch, 'fuzzed');
    for (let file = 0; file < files; file++) {
      writeFileSync(path, fuzzed(random));
      const uuids = Array.from({ length: 20 }, () => uuidOfNumber(random.below(100)));
      // oxlint-disable-next-line no-await-in-loop -- one file after the other
      const answers = await ask(
        `open ${path}`,
        'retired',
        ...uuids.map((uuid) => `${random.chance(0.1) ? 'lookup' : 'hint'} ${uuid}`),
      );
      expect(answers[0]).toMatch(/^(open|refused)$/);
      for (const answer of answers.slice(2)) {
        const [said, domid = '0'] = answer.split(' ');
        expect(['found', 'ask']).toContain(said);
        expect(Number(domid)).toBeLessThan(0x7ff0);
      }
    }
    rmSync(path);
    expect(await ask(`open ${path}`, `open ${scratch}`)).toEqual(['refused', 'refused']);
  });

  scenario(
    'refuses a file of another version, and one that is too short for its geometry',
    async () => {
      const path = join(scratch, 'wrong');
      const { bytes } = new TableImage();
      bytes.writeUInt32LE(2, HeaderOffset.version);
      writeFileSync(path, bytes);
      expect(await ask(`open ${path}`)).toEqual(['refused']);
      bytes.writeUInt32LE(1, HeaderOffset.version);
      writeFileSync(path, bytes);
      expect(await ask(`open ${path}`)).toEqual(['open']);
      expect(await ask('open /nowhere')).toEqual(['refused']);
      truncateSync(path, bytes.length - 1);
      expect(await ask(`open ${path}`)).toEqual(['refused']);
    },
  );
});

const IN_C = READERS.filter(({ language }) => language.startsWith('C'));

describe.each(IN_C)('without an answer of the table, the reader in $language', (reader: Reader) => {
  const tool = missingTool(reader);
  const mayMiss = process.env['CI'] === undefined;
  const scenario = cannot(mayMiss && tool !== undefined && `${tool} is not installed`);
  let example: ExampleService;
  let running: ReaderProcess;
  const ask = (...commands: string[]): Promise<string[]> => running.ask(...commands);

  beforeEach(async () => {
    example = await ExampleService.start({ table });
    running = new ReaderProcess(reader, scratch, `socket:${example.socketPath}`);
    expect(await ask(`service 0 ${example.socketPath}`)).toEqual(['service']);
  });
  afterEach(async () => {
    expect(await running.end()).toEqual({ status: 0, err: '' });
    await example.close();
    rmSync(table, { force: true });
  });

  scenario('asks the service', async () => {
    // Without a table too.
    expect(await ask(`lookup ${WEB}`, `open ${table}`, `lookup ${NEW}`)).toEqual([
      'found 7',
      'open',
      'notFound',
    ]);
    example.boot(8, NEW, 'web-2');
    expect(await ask(`lookup ${NEW}`, `lookup ${NIL}`)).toEqual(['found 8', 'invalid']);
  });

  scenario('learns from the service that several domains have the UUID', async () => {
    // So many that the answer is longer than the buffer of the reader.
    for (let domid = 100; domid < 300; domid++) example.boot(domid, WEB, `twin-${domid}`);
    await example.list();
    expect(await ask(`open ${table}`, `lookup ${WEB}`)).toEqual(['open', 'several']);
  });

  scenario('has no answer while the service is away', async () => {
    await ask(`open ${table}`);
    await example.stopService();
    expect(await ask(`lookup ${NEW}`, `service 100 ${'x'.repeat(200)}`, `lookup ${NEW}`)).toEqual([
      'ask',
      'service',
      'ask',
    ]);
    await example.startService();
    expect(await ask(`service 0 ${example.socketPath}`, `hint ${WEB}`, `lookup ${NEW}`)).toEqual([
      'service',
      'found 7',
      'notFound',
    ]);
  });

  scenario("goes its caller's own way", async () => {
    expect(await ask('own 5', `open ${table}`, `lookup ${NEW}`, `lookup ${WEB}`)).toEqual([
      'own',
      'open',
      'found 5',
      'found 7',
    ]);
  });

  const ANSWERS: readonly (readonly [string, string])[] = [
    ['', 'ask'],
    ['\n', 'ask'],
    ['{"jsonrpc":"2.0","id":1,"result":{"status":"found","domid":7', 'ask'],
    ['{"jsonrpc":"2.0","id":1,"result":{"status":"found","domid":7}}\n', 'found 7'],
    ['{ "id": 1, "result": { "status": "found", "domid": 32751 } }\n', 'found 32751'],
    ['{"id":1,"result":{"status":"found","domid":32752}}\n', 'ask'],
    ['{"id":1,"result":{"status":"found","domid":-1}}\n', 'ask'],
    ['{"id":1,"result":{"status":"found","domid":"7"}}\n', 'ask'],
    ['{"id":1,"result":{"status":"found"}}\n', 'ask'],
    ['{"id":1,"result":{"status":"found","domid":99999999999999999999999}}\n', 'ask'],
    [
      '{"id":1,"error":{"code":-32001,"message":"\\"status\\":\\"found\\",\\"domid\\":3"}}\n',
      'ask',
    ],
    ['{"status":"found","domid":7}\n', 'ask'],
    ['{"id":1,"result":{"status":"notFound"}}\n', 'notFound'],
    [`{"id":1,"result":{"status":"found","domid":7,"x":"${'x'.repeat(2000)}"}}\n`, 'ask'],
    [`\0{"id":1,"result":{"status":"found","domid":7}}\n`, 'ask'],
  ];

  scenario('takes nothing but a whole answer of the service for one', async () => {
    const path = join(scratch, 'pretender');
    let answer = '';
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => {
        const half = answer.length >> 1;
        socket.write(answer.slice(0, half));
        // The second part in a packet of its own.
        setImmediate(() => socket.end(answer.slice(half)));
      });
    });
    server.listen(path);
    await once(server, 'listening');
    await ask(`service 0 ${path}`);
    const answers: string[] = [];
    for (const [text] of ANSWERS) {
      answer = text;
      // oxlint-disable-next-line no-await-in-loop -- one answer after the other
      answers.push(...(await ask(`lookup ${WEB}`)));
    }
    server.close();
    expect(answers).toEqual(ANSWERS.map(([, said]) => said));
  });

  scenario('has no answer when the time for the service is up', async () => {
    const path = join(scratch, 'silent');
    const server = createServer();
    server.listen(path);
    await once(server, 'listening');
    expect(await ask(`service 50 ${path}`, `lookup ${WEB}`)).toEqual(['service', 'ask']);
    server.close();
  });
});

describe('the reader in C', () => {
  const sources = join(import.meta.dirname, '../../../test/table/readers');
  const source = join(sources, 'threads.c');
  const clients = join(import.meta.dirname, '../../../docs/clients');
  const scenario = cannot(
    process.env['CI'] === undefined &&
      spawnSync('gcc', ['--version']).error !== undefined &&
      'gcc is not installed',
  );

  /** Runs look-ups in several threads: of one UUID in the table, and one that only the service knows not to exist. */
  async function inThreads(...options: string[]): Promise<string> {
    const program = join(scratch, 'threads');
    const strict = ['-Wall', '-Wextra', '-Werror', '-g', '-O2', '-pthread', '-I', clients];
    const built = spawnSync('gcc', [...strict, ...options, '-o', program, source]);
    expect(built.stderr.toString()).toBe('');
    const example = await ExampleService.start({ table });
    example.boot(0x6d, NEW, 'web-2');
    example.destroy(7);
    await example.list();
    // The service is in this process: it must go on.
    const child = spawn(program, [table, example.socketPath, NEW, WEB]);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    }
    await once(child, 'close');
    await example.close();
    rmSync(table, { force: true });
    return output;
  }

  scenario('looks up in several threads at once without a race', async () => {
    expect(await inThreads('-fsanitize=thread')).toBe(
      '1000 found, 1000 not found, 0 allocations\n',
    );
  });

  scenario('allocates nothing', async () => {
    // A compiler removes a malloc that it knows to be without use.
    expect(await inThreads('-fno-builtin')).toBe('1000 found, 1000 not found, 0 allocations\n');
  });

  test.each([
    ['gcc', '-std=gnu99'],
    ['g++', '-x', 'c++'],
  ])(
    '%s %s: libxenctrl confirms only the very domid that was asked for, if it is not dying',
    (compiler, ...options) => {
      if (process.env['CI'] === undefined && spawnSync(compiler, ['--version']).error) return;
      const strict = ['-Wall', '-Wextra', '-Werror', '-g', '-I', clients, '-I', sources];
      const sanitizers = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
      const program = join(scratch, 'confirm');
      const xen = `${program}-xen.o`;
      const confirm = [...options, join(sources, 'confirm.c'), '-x', 'none', xen, '-o', program];
      const steps = [
        ['gcc', '-c', join(sources, 'confirm_xen.c'), '-o', xen],
        [compiler, ...confirm],
      ] as const;
      for (const [command, ...args] of steps) {
        const { stderr } = spawnSync(command, [...strict, ...sanitizers, ...args]);
        expect(stderr.toString()).toBe('');
      }
      const { stdout, stderr } = spawnSync(program, { encoding: 'utf8' });
      expect(stderr).toBe('');
      expect(stdout.trimEnd().split('\n')).toEqual([
        '1: 0, handle 00 to 00',
        '2: 1, handle a2 to a2',
        '3: 0, handle 00 to 00',
        '4: 0, handle 00 to 00',
        '5: 0, handle 00 to 00',
        '6: 0, handle 00 to 00',
      ]);
    },
  );

  test.each([
    ['gcc', '-std=c99', '-D_POSIX_C_SOURCE=200809L'],
    ['gcc', '-std=gnu17'],
    ['g++', '-x', 'c++', '-std=c++11'],
  ])(
    '%s %s %s: the header compiles without a warning, in two files of a program',
    (compiler, ...standard) => {
      const warnings = ['-Wall', '-Wextra', '-Werror', '-pedantic', '-Wshadow', '-Wconversion'];
      const args = [...standard, ...warnings, '-O2', '-c', '-I', clients, '-o', '/dev/null', '-'];
      const input = '#include "xen_domid.h"\n#include "xen_domid.h"\nint use(void) { return 0; }\n';
      if (!args.includes('c++')) args.unshift('-x', 'c');
      const { stderr, error } = spawnSync(compiler, args, { input, encoding: 'utf8' });
      if (error !== undefined && process.env['CI'] === undefined) return;
      expect(stderr).toBe('');
    },
  );
});

/** A table with random bytes in its buckets, its header or everywhere. */
function fuzzed(random: Random): Buffer {
  // Small, so that files are made fast; and the page and the bucket at the end of it are at the end of the mapping.
  const geometry = { headerBytes: 4096, buckets: 1 << random.below(6), bucketBytes: 128, slots: 7 };
  const image = new TableImage(geometry);
  for (let number = 0; number < 60; number++) {
    image.add(uuidWords(uuidOfNumber(number)), random.below(0x7ff0) as Domid);
  }
  const { bytes } = image;
  const places = random.pick([
    [8, CHANGING_FROM],
    [0, 128],
    [4096, bytes.length],
    [0, bytes.length],
  ] as const);
  for (let count = random.below(30); count > 0; count--) {
    const at = places[0] + random.below(places[1] - places[0]);
    bytes[at] = random.pick([0, 1, 0x7f, 0x80, 0xff, random.below(256)]);
  }
  return random.chance(0.1) ? bytes.subarray(0, random.below(bytes.length)) : bytes;
}

test('the reader in Python is written for the Python of an older dom0', () => {
  const parsed = spawnSync(
    'python3',
    ['-c', 'import ast, sys; ast.parse(sys.stdin.read(), feature_version=(3, 6))'],
    {
      input: readFileSync(join(import.meta.dirname, '../../../docs/clients/xen_domid_table.py')),
      encoding: 'utf8',
    },
  );
  expect(parsed).toMatchObject({ status: 0, stderr: '' });
});

const ocaml = READERS.find(({ language }) => language === 'OCaml') as Reader;
const withoutOcaml = process.env['CI'] === undefined && missingTool(ocaml);

cannot(typeof withoutOcaml === 'string' && `${withoutOcaml} is not installed`)(
  'the page for xenopsd shows OCaml that compiles against the reader and the names of Xenctrl',
  () => {
    const page = readFileSync(join(import.meta.dirname, '../../../docs/xenopsd.md'), 'utf8');
    const example = /^```ocaml\n(?<code>.*?)^```$/ms.exec(page)?.groups?.['code'] ?? '';
    expect(example).toContain('Xen_domid_table.lookup');
    const program = `module Xenctrl = struct
  type handle
  type domaininfo = {domid: int; dying: bool; handle: int array; shared_info_frame: nativeint}
  exception Error of string
  let domain_getinfo (_ : handle) (_ : int) : domaininfo = raise (Error "")
end
module Uuidx = struct let to_string (uuid : string) = uuid end
let di_of_uuid_by_list ~xc:(_ : Xenctrl.handle) (_ : string) : Xenctrl.domaininfo option = None
${example}`;
    writeFileSync(join(scratch, 'xenopsd.ml'), program);
    const options = ['-w', '+a-4-9-32-40-41-42-44-45-70-69', '-warn-error', '+a', '-I', '+unix'];
    const { stderr, status } = spawnSync(
      'ocamlc',
      [...options, '-I', scratch, '-c', join(scratch, 'xenopsd.ml')],
      { encoding: 'utf8' },
    );
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  },
);
