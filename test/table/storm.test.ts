/**
 * Readers in other processes look up UUIDs while domains of a simulated host come, go, are renamed, are twins and zombies,
 * and while the writer ends, is killed and starts again. Every `found` is compared with the host's history.
 */
import { afterAll, beforeAll, expect } from '@jest/globals';
import {
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Domid } from '../../src/domain.ts';
import { Inventory } from '../../src/inventory/inventory.ts';
import { SimulatedHost, SimulatedHypervisor } from '../../src/simulator/index.ts';
import { GEOMETRY, HeaderOffset, tableBytes } from '../../src/table/layout.ts';
import { readTable } from '../../src/table/table-reader.ts';
import type { Uuid } from '../../src/uuid.ts';
import { cannot } from '../lab/cannot.ts';
import { Random } from '../support/random.ts';
import { buildReader, missingTool, READERS, ReaderProcess } from './readers.ts';
import { Truth } from './truth.ts';
import { uuidOfNumber } from './uuids.ts';

/** `TABLE_STORM_LOOKUPS=10000000`: until the readers in C have made so many. */
const LOOKUPS_WANTED = Number(process.env['TABLE_STORM_LOOKUPS'] ?? 0);
const SLICE_MS = 1500;
const SLICES = 6;
const UUIDS = 1500;
const DOMAINS = 600;
const RECORD_BYTES = 16;
const END = 0xffffffff;
const OPENED = 'open\n';

const seed = Number(process.env['TABLE_STORM_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const scratch = mkdtempSync(join(tmpdir(), 'table-storm-'));
const names = ['C', 'C, without sanitizers', 'Python'];
const readers = READERS.filter(({ language }) => names.includes(language));
const lacking = readers.find((reader) => missingTool(reader) !== undefined);
const scenario = cannot(
  process.env['CI'] === undefined && lacking !== undefined && 'a compiler or python3 is missing',
);

beforeAll(() => {
  if (lacking === undefined) for (const reader of readers) buildReader(reader, scratch);
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** The host's acts, each on one domid. */
class Toolstack {
  readonly host = new SimulatedHost({ domids: 'sequential', seed });
  readonly truth: Truth;
  readonly #random = new Random(seed);
  readonly #uuids: readonly Uuid[];
  /** Domids that are not gone, dom0 aside. */
  #live: Domid[] = [];
  #zombies: Domid[] = [];

  constructor(truthPath: string, uuids: readonly Uuid[]) {
    this.truth = new Truth(truthPath, this.host);
    this.#uuids = uuids;
    for (let domains = 0; domains < DOMAINS; domains++) this.#create();
  }

  act(): void {
    const random = this.#random;
    const chance = random.next();
    if (chance < 0.4 || this.#live.length < DOMAINS / 2) this.#create();
    else if (chance < 0.7) this.#end(random.chance(0.2));
    else if (chance < 0.9) this.#rename();
    else this.#bury();
    if (this.#live.length > DOMAINS) this.#end(false);
  }

  /** With a UUID by chance: now and then a twin. */
  #create(): void {
    this.truth.act(() => {
      const domid = this.host.createDomain({ uuid: this.#random.pick(this.#uuids) });
      this.#live.push(domid);
      return domid;
    });
  }

  #take(from: Domid[]): Domid | undefined {
    return from.splice(this.#random.below(from.length), 1)[0];
  }

  #end(asZombie: boolean): void {
    const domid = this.#take(this.#live);
    if (domid === undefined) return;
    this.truth.act(() => {
      if (asZombie) {
        this.host.hold(domid);
        this.#zombies.push(domid);
      }
      this.host.destroy(domid);
      return domid;
    });
  }

  #bury(): void {
    const domid = this.#take(this.#zombies);
    if (domid === undefined) return;
    this.truth.act(() => {
      this.host.release(domid);
      return domid;
    });
  }

  #rename(): void {
    const domid = this.#random.pick(this.#live);
    this.truth.act(() => {
      this.host.setHandle(domid, this.#random.pick(this.#uuids));
      return domid;
    });
  }
}

interface Told {
  lookups: number;
  found: number;
}

/** Checks the records of a reader as they come. */
class Judge {
  readonly told: Told = { lookups: 0, found: 0 };
  readonly wrong: string[] = [];
  ends = 0;
  #rest = Buffer.alloc(0);
  #opened = false;

  constructor(reader: ReaderProcess, host: SimulatedHost, uuids: readonly Uuid[]) {
    reader.child.stdout?.on('data', (chunk: Buffer) => {
      const bytes = Buffer.concat([this.#rest, chunk]);
      // The answer to "open", a line of text, precedes the records.
      let at = 0;
      if (!this.#opened) {
        if (bytes.length < OPENED.length) {
          this.#rest = bytes;
          return;
        }
        expect(bytes.toString('latin1', 0, OPENED.length)).toBe(OPENED);
        this.#opened = true;
        at = OPENED.length;
      }
      for (; at + RECORD_BYTES <= bytes.length; at += RECORD_BYTES) {
        const index = bytes.readUInt32LE(at);
        const domid = bytes.readUInt32LE(at + 4);
        if (index === END) {
          this.told.lookups += domid;
          this.ends++;
          continue;
        }
        const [from, to] = [bytes.readUInt32LE(at + 8), bytes.readUInt32LE(at + 12)];
        const uuid = uuids[index] as Uuid;
        this.told.found++;
        if (host.history?.heldUndyingAtSomeInstant(domid, uuid, from, to) !== true) {
          this.wrong.push(`found ${uuid} at domid ${domid} in steps ${from} to ${to}`);
        }
      }
      this.#rest = bytes.subarray(at);
    });
  }
}

/** As after a SIGKILL: the file does not say that its writer has ended. */
async function abandon(inventory: Inventory, path: string): Promise<void> {
  const fd = openSync(path, 'r+');
  writeSync(fd, Uint32Array.of(0), 0, 4, HeaderOffset.pid);
  await inventory.close();
}

scenario(
  'readers in other processes never find a domid that did not have the UUID',
  async () => {
    const uuids = Array.from({ length: UUIDS }, (_, number) => uuidOfNumber(number));
    const [uuidsPath, truthPath, path] = ['uuids', 'truth', 'domids'].map((name) =>
      join(scratch, name),
    ) as [string, string, string];
    writeFileSync(uuidsPath, uuids.join('\n'));
    const toolstack = new Toolstack(truthPath, uuids);
    const hypervisor = new SimulatedHypervisor(toolstack.host);
    const open = (): Promise<Inventory> =>
      Inventory.open({ hypervisor, xenstore: false, listIntervalMs: 200, table: { path } });
    let inventory = await open();
    const { ino } = statSync(path);
    let stale = readFileSync(path);
    stale.writeUInt32LE(0, HeaderOffset.pid);

    const running = readers.map((reader) => {
      const process = new ReaderProcess(reader, scratch, `truth:${truthPath}`, true);
      process.tell(`open ${path}`);
      return { reader, process };
    });
    const judges = running.map(({ process }) => new Judge(process, toolstack.host, uuids));
    const lookupsInC = (): number =>
      running.reduce(
        (sum, { reader }, index) =>
          reader.language === 'Python' ? sum : sum + (judges[index]?.told.lookups ?? 0),
        0,
      );

    for (let slice = 0; slice < SLICES || lookupsInC() < LOOKUPS_WANTED; slice++) {
      running.forEach(({ process }, index) =>
        process.tell(`storm ${SLICE_MS} ${seed + slice * 31 + index} ${uuidsPath}`),
      );
      const end = performance.now() + SLICE_MS;
      // Slice 1: without a writer. 2: the writer was killed. 3: a file of an earlier time.
      if (slice % 4 === 1) await inventory.close();
      if (slice % 4 === 2) await abandon(inventory, path);
      if (slice % 4 === 3) {
        await inventory.close();
        writeSync(openSync(path, 'r+'), stale, 0, stale.length, 0);
      }
      while (performance.now() < end) {
        for (let acts = 0; acts < 5; acts++) toolstack.act();
        // oxlint-disable-next-line no-await-in-loop -- the host goes on between two look-ups
        await inventory.get(toolstack.host.now % (2 * DOMAINS));
        // oxlint-disable-next-line no-await-in-loop
        await sleep(1);
      }
      // oxlint-disable-next-line no-await-in-loop
      while (judges.some(({ ends }) => ends <= slice)) await sleep(10);
      toolstack.host.history?.forgetBefore(toolstack.truth.step);
      if (slice % 4 !== 0) {
        // oxlint-disable-next-line no-await-in-loop
        inventory = await open();
        stale = readFileSync(path);
        stale.writeUInt32LE(0, HeaderOffset.pid);
      }
    }
    await inventory.list();
    const { entries, header } = readTable(path);
    await inventory.close();
    await hypervisor.close();
    toolstack.truth.close();
    const ends = await Promise.all(running.map(({ process }) => process.end()));

    // The table has exactly the holders of the host.
    const holders = new Map<Uuid, Domid[]>();
    for (const { uuid, domid, stage } of toolstack.host.domains()) {
      if (stage === 'dead' || domid === 0) continue;
      holders.set(uuid, [...(holders.get(uuid) ?? []), domid]);
    }
    const expected = [...holders].map(([uuid, domids]) => [
      uuid,
      domids.length === 1 ? domids[0] : undefined,
    ]);
    expect(header.unplaced).toBe(0);
    expect(new Map(entries.map(({ uuid, domid }) => [uuid, domid]))).toEqual(
      new Map(expected as [Uuid, Domid | undefined][]),
    );
    expect(statSync(path)).toMatchObject({ ino, size: tableBytes(GEOMETRY) });

    expect(ends.map(({ status, err }) => ({ status, err }))).toEqual(
      ends.map(() => ({ status: 0, err: '' })),
    );
    const figures = running.map(({ reader }, index) => {
      const { lookups, found } = judges[index]?.told ?? { lookups: 0, found: 0 };
      expect(found).toBeGreaterThan(0);
      return `${reader.language} ${lookups} look-ups, ${found} found`;
    });
    process.stdout.write(
      `table storm, seed ${seed}: ${figures.join('; ')}; ${toolstack.host.now} steps\n`,
    );
    expect(judges.flatMap(({ wrong }) => wrong)).toEqual([]);
  },
  LOOKUPS_WANTED > 0 ? 3_600_000 : 120_000,
);
