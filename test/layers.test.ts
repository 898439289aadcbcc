import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';

const src = fileURLToPath(new URL('../../src', import.meta.url));

/** The rooms that each room may import from, besides itself and the words at the top of `src/`. */
const BELOW: Readonly<Record<string, readonly string[]>> = {
  cli: [
    'client',
    'hypervisor',
    'inventory',
    'pool',
    'protocol',
    'service',
    'simulator',
    'storm',
    'table',
    'xenstore',
  ],
  storm: ['hypervisor', 'inventory', 'simulator', 'xenstore'],
  pool: ['client', 'protocol', 'service'],
  service: ['hypervisor', 'inventory', 'protocol', 'xenstore'],
  client: ['protocol'],
  protocol: [],
  inventory: ['xenstore', 'hypervisor', 'table'],
  table: [],
  simulator: ['xenstore', 'hypervisor'],
  xenstore: [],
  hypervisor: [],
};

/** Folders of a room that may import only these of its other parts; `''` is the room's own files. */
const BELOW_INSIDE: Readonly<Record<string, readonly string[]>> = {
  'service/answers': ['service'],
  'service/connections': ['service', 'service/answers', 'service/system'],
  'service/http': ['service', 'service/answers', 'service/connections'],
  'service/page': [],
  'service/system': ['service'],
  'inventory/feed': [],
  'inventory/waiting': ['inventory', 'inventory/feed'],
  'cli/terminal': ['cli'],
  'cli/help': ['cli'],
  'cli/commands': ['cli', 'cli/terminal', 'cli/help'],
  'cli/demo': ['cli', 'cli/terminal'],
  'pool/bridge': ['pool'],
  'cli/pool': ['cli', 'cli/commands', 'cli/terminal'],
};

const FILES_MAX = 21;

/** Libraries that are slow to load, or belong to one file. */
const IMPORTERS: Readonly<Record<string, readonly string[]>> = {
  koffi: ['hypervisor/libxencall.ts', 'service/system/libc.ts'],
  rxjs: ['rxjs.ts'],
  'lru-cache': ['inventory/holders.ts'],
  '@nats-io/kv': ['pool/nats.ts'],
  '@nats-io/transport-node': ['pool/nats.ts'],
};

/** Modules that a room without sockets must not import. */
const SOCKETS = ['node:net', 'node:http', 'node:tls', 'node:dgram'];
const SOCKETLESS = ['protocol/', 'service/answers/', 'inventory/'];

interface Import {
  readonly file: string;
  readonly from: string;
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) =>
  /\.c?ts$/.test(file),
);
/** Static, dynamic and type imports alike. */
const imports: Import[] = files.flatMap((file) =>
  [...readFileSync(join(src, file), 'utf8').matchAll(/(?:from|import\(|import) ?'([^']+)'/g)].map(
    ([, from = '']) => ({ file, from }),
  ),
);
const arrows = imports
  .filter(({ from }) => from.startsWith('.'))
  .map(({ file, from }) => ({
    file,
    target: relative(src, normalize(join(src, dirname(file), from))),
  }));
const folderOf = (file: string): string => (dirname(file) === '.' ? '' : dirname(file));
const roomOf = (file: string): string => (file.includes('/') ? (file.split('/')[0] ?? '') : '');

/** Returns files that import each other in a circle, the first one again at the end; undefined if there is none. */
function circle(): string[] | undefined {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const arrow of arrows) {
      const found = arrow.file === file ? visit(arrow.target, [...path, file]) : undefined;
      if (found !== undefined) return found;
    }
    done.add(file);
    return undefined;
  };
  for (const file of files) {
    const found = visit(file, []);
    if (found !== undefined) return found;
  }
  return undefined;
}

describe('imports', () => {
  it('point down from room to room', () => {
    const upward = arrows.filter(({ file, target }) => {
      const [room, other] = [roomOf(file), roomOf(target)];
      // The package's entry names the rooms that it exports.
      if (file === 'index.ts') return false;
      return other !== '' && other !== room && !(BELOW[room] ?? []).includes(other);
    });
    expect(arrows.length).toBeGreaterThan(100);
    expect(upward).toEqual([]);
  });

  it('point down inside a room', () => {
    const upward = arrows.filter(({ file, target }) => {
      const [folder, other] = [folderOf(file), folderOf(target)];
      const below = BELOW_INSIDE[folder];
      if (below === undefined || roomOf(file) !== roomOf(target)) return false;
      return other !== folder && !below.includes(other);
    });
    expect(
      Object.keys(BELOW_INSIDE).filter(
        (folder) => !files.some((file) => folderOf(file) === folder),
      ),
    ).toEqual([]);
    expect(upward).toEqual([]);
  });

  it('never form a circle', () => {
    expect(circle()).toBeUndefined();
  });

  it('of sockets are in no room that has nothing to do with them', () => {
    const sockets = imports.filter(
      ({ file, from }) =>
        SOCKETS.includes(from) && SOCKETLESS.some((folder) => file.startsWith(folder)),
    );
    expect(sockets).toEqual([]);
  });

  it.each(Object.keys(IMPORTERS))('of %s are in the files that are meant to', (library) => {
    const importers = imports.filter(({ from }) => from === library).map(({ file }) => file);
    expect([...new Set(importers)].toSorted()).toEqual(IMPORTERS[library]);
  });
});

describe('folders', () => {
  it(`have at most ${FILES_MAX} files`, () => {
    const counts = new Map<string, number>();
    for (const file of files) counts.set(folderOf(file), (counts.get(folderOf(file)) ?? 0) + 1);
    expect([...counts].filter(([, count]) => count > FILES_MAX)).toEqual([]);
  });
});
