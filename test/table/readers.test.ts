/** The readers in C, C++, Python and OCaml: the same answers as the service, and nothing that a file can do to them. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Domid } from '../../src/domain.ts';
import { CHANGING_FROM, HeaderOffset, TableImage, TableState } from '../../src/table/layout.ts';
import { readTable } from '../../src/table/table-reader.ts';
import { uuidWords } from '../../src/uuid.ts';
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
