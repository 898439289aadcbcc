import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';

const src = fileURLToPath(new URL('../../src', import.meta.url));

/** The rooms that each room may import from, beside itself and the words at the top. */
const BELOW: Readonly<Record<string, readonly string[]>> = {
  cli: ['service', 'inventory', 'xenstore', 'hypervisor', 'simulator'],
  service: ['inventory', 'xenstore', 'hypervisor'],
  inventory: ['xenstore', 'hypervisor'],
  simulator: ['xenstore', 'hypervisor'],
  xenstore: [],
  hypervisor: [],
};

/** Libraries that are slow to load, or the business of one file. */
const IMPORTERS: Readonly<Record<string, readonly string[]>> = {
  koffi: ['hypervisor/libxencall.ts', 'service/system/libc.ts'],
  rxjs: [
    'inventory/feed.ts',
    'inventory/inventory.ts',
    'inventory/pipeline.ts',
    'xenstore/reader.ts',
    'xenstore/watches.ts',
  ],
  'lru-cache': ['inventory/holders.ts'],
  'prom-client': ['service/metrics.ts'],
};

interface Import {
  readonly file: string;
  readonly from: string;
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) =>
  /\.c?ts$/.test(file),
);
const imports: Import[] = files.flatMap((file) =>
  [...readFileSync(join(src, file), 'utf8').matchAll(/(?:from|import\() ?'([^']+)'/g)].map(
    ([, from = '']) => ({ file, from }),
  ),
);
const roomOf = (file: string): string => (file.includes('/') ? (file.split('/')[0] ?? '') : '');

describe('imports', () => {
  it('point down', () => {
    const upward = imports
      .filter(({ from }) => from.startsWith('.'))
      .map(({ file, from }) => ({
        file,
        target: relative(src, normalize(join(src, dirname(file), from))),
      }))
      .filter(({ file, target }) => {
        const [room, other] = [roomOf(file), roomOf(target)];
        // What users import names the rooms that it exports.
        if (room === '' && file === 'index.ts') return false;
        return other !== '' && other !== room && !(BELOW[room] ?? []).includes(other);
      });
    expect(imports.length).toBeGreaterThan(100);
    expect(upward).toEqual([]);
  });

  it.each(Object.keys(IMPORTERS))('of %s are in the files that are meant to', (library) => {
    const importers = imports.filter(({ from }) => from === library).map(({ file }) => file);
    expect([...new Set(importers)].toSorted()).toEqual(IMPORTERS[library]);
  });
});
