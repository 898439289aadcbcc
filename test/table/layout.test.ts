import { describe, expect, test } from '@jest/globals';
import { array, assert, constantFrom, integer, option, property, record } from 'fast-check';
import { DOMID_FIRST_RESERVED, type Domid } from '../../src/domain.ts';
import {
  bucketOf,
  entriesIn,
  GEOMETRY,
  type Geometry,
  isFull,
  isSound,
  tableBytes,
  TableImage,
} from '../../src/table/layout.ts';
import { parseUuid, type Uuid, uuidWords } from '../../src/uuid.ts';
import { uuidOfNumber } from './uuids.ts';

/** Two buckets of three, so that they overflow. */
const SMALL: Geometry = { headerBytes: 128, buckets: 2, bucketBytes: 64, slots: 3 };

const NIL = parseUuid('00000000-0000-0000-0000-000000000000');

/** Returns the entry that a reader finds: a domid, `several`, or nothing. */
function find(bytes: Buffer, geometry: Geometry, uuid: Uuid): number | 'several' | undefined {
  const bucket = bucketOf(uuidWords(uuid), geometry.buckets);
  for (const entry of entriesIn(bytes, geometry, bucket)) {
    if (entry.uuid === uuid) return entry.domid ?? 'several';
  }
  return undefined;
}

const uuids = Array.from({ length: 14 }, (_, number) => uuidOfNumber(number));

/** A map from domids to UUIDs, with the changes of a table that follow. */
class Model {
  readonly held = new Map<Domid, Uuid>();
  readonly image: TableImage;

  constructor(geometry: Geometry) {
    this.image = new TableImage(geometry);
  }

  holders(uuid: Uuid): Domid[] {
    return [...this.held].filter(([, holds]) => holds === uuid).map(([domid]) => domid);
  }

  /** @returns buckets that changed. */
  set(domid: Domid, uuid: Uuid | undefined): (number | undefined)[] {
    const held = this.held.get(domid);
    if (held === uuid) return [];
    this.held.delete(domid);
    if (uuid !== undefined) this.held.set(domid, uuid);
    const changed: (number | undefined)[] = [];
    if (held !== undefined) {
      changed.push(this.image.remove(uuidWords(held), domid, () => this.holders(held)));
    }
    if (uuid !== undefined) changed.push(this.image.add(uuidWords(uuid), domid));
    return changed;
  }
}

/** Without a UUID that gets the slot that becomes free: it is written too. */
function unchanged(
  told: ReadonlyMap<Uuid, number | 'several' | undefined>,
  bytes: Buffer,
): [Uuid, number | 'several' | undefined][] {
  return [...told].filter(([uuid, entry]) => find(bytes, SMALL, uuid) === entry);
}

const act = record({
  domid: integer({ min: 0, max: 9 }).map((domid) => domid as Domid),
  uuid: option(constantFrom(...uuids), { nil: undefined }),
});

describe('the image', () => {
  test('says of every UUID its one domid, or several, or nothing where its bucket is full', () => {
    assert(
      property(array(act, { maxLength: 60 }), (acts) => {
        const model = new Model(SMALL);
        const { image } = model;
        for (const { domid, uuid } of acts) model.set(domid, uuid);
        let unplaced = 0;
        for (const uuid of uuids) {
          const holders = model.holders(uuid);
          const found = find(image.bytes, SMALL, uuid);
          const bucket = bucketOf(uuidWords(uuid), SMALL.buckets);
          if (found === undefined && holders.length > 0) {
            unplaced++;
            expect(isFull(image.bytes, SMALL, bucket)).toBe(true);
          } else {
            expect(found).toBe(holders.length > 1 ? 'several' : holders[0]);
          }
        }
        expect(image.unplaced).toBe(unplaced);
        expect(image.count + unplaced).toBe(new Set(model.held.values()).size);
        // A full bucket has no free slot.
        for (let bucket = 0; bucket < SMALL.buckets; bucket++) {
          const entries = [...entriesIn(image.bytes, SMALL, bucket)];
          if (isFull(image.bytes, SMALL, bucket)) expect(entries).toHaveLength(SMALL.slots);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('is written in one block a change, and no other entry changes, wherever the write stops', () => {
    assert(
      property(array(act, { maxLength: 40 }), act, (acts, last) => {
        const model = new Model(SMALL);
        for (const { domid, uuid } of acts) model.set(domid, uuid);
        const before = Buffer.from(model.image.bytes);
        const held = model.held.get(last.domid);
        const others = uuids.filter((uuid) => uuid !== held && uuid !== last.uuid);
        const told = new Map(others.map((uuid) => [uuid, find(before, SMALL, uuid)]));
        for (const bucket of model.set(last.domid, last.uuid)) {
          if (bucket === undefined) continue;
          const from = model.image.offsetOf(bucket);
          const torn = Buffer.from(before);
          for (let at = from; at < from + SMALL.bucketBytes; at++) {
            torn[at] = model.image.bytes[at] ?? 0;
            for (const [uuid, entry] of unchanged(told, model.image.bytes)) {
              const found = find(torn, SMALL, uuid);
              expect(found).toBe(entry);
            }
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  test('never has a handle that names no VM', () => {
    const image = new TableImage();
    const before = Buffer.from(image.bytes);
    const tombstone = parseUuid('deadbeef-dead-beef-dead-beef00000005');
    expect(image.add(uuidWords(NIL), 0 as Domid)).toBeUndefined();
    expect(image.add(uuidWords(tombstone), 5 as Domid)).toBeUndefined();
    expect(image.bytes.equals(before)).toBe(true);
    expect(
      image.add(uuidWords(parseUuid('deadbeef-dead-beef-dead-beef00010005')), 5 as Domid),
    ).toBeDefined();
  });
});

/** UUIDs as toolstacks and people make them. */
const KINDS: Readonly<Record<string, (number: number) => Uuid>> = {
  random: uuidOfNumber,
  'numbered from behind': (number) =>
    parseUuid(`00000000-0000-0000-0000-${(number + 1).toString(16).padStart(12, '0')}`),
  'numbered from the front': (number) =>
    parseUuid(`${(number + 1).toString(16).padStart(8, '0')}-0000-4000-8000-000000000000`),
  'by time (version 1)': (number) =>
    parseUuid(`${(number * 977).toString(16).padStart(8, '0')}-7f3e-11ee-8c90-0242ac120002`),
  'numbered in the middle': (number) =>
    parseUuid(`6d4f1a5e-${number.toString(16).padStart(4, '0')}-4c4e-9d2a-3f1e5b7a9c01`),
};

test.each(Object.keys(KINDS))(
  'with 32,752 UUIDs, %s, fewer than 1 %% of the buckets overflow',
  (kind) => {
    const image = new TableImage();
    for (let domid = 0; domid < DOMID_FIRST_RESERVED; domid++) {
      image.add(uuidWords(KINDS[kind]?.(domid) as Uuid), domid as Domid);
    }
    let full = 0;
    for (let bucket = 0; bucket < GEOMETRY.buckets; bucket++) {
      if (isFull(image.bytes, GEOMETRY, bucket)) full++;
    }
    expect(full / GEOMETRY.buckets).toBeLessThan(0.01);
    expect(image.unplaced / DOMID_FIRST_RESERVED).toBeLessThan(0.01);
  },
);

test('a geometry is sound only if every bucket is inside the file', () => {
  const size = tableBytes(GEOMETRY);
  expect(isSound(GEOMETRY, size)).toBe(true);
  expect(isSound(GEOMETRY, size - 1)).toBe(false);
  for (const wrong of [
    { headerBytes: 0 },
    { headerBytes: 64 },
    { headerBytes: 4097 },
    { buckets: 0 },
    { buckets: 3 },
    { buckets: 2 ** 31 },
    { bucketBytes: 192, slots: 11 },
    { slots: 0 },
    { slots: 8 },
    { bucketBytes: 100 },
  ]) {
    expect(isSound({ ...GEOMETRY, ...wrong }, size)).toBe(false);
  }
});
