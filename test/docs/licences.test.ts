/** The page of licences names the licence of every installed package. */
import { expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { closure } from '../lab/project-layer.ts';
import { read, root } from './markdown.ts';

interface Locked {
  readonly license?: string;
  readonly dependencies?: Record<string, string>;
}

/** koffi has one package for each platform. */
const PLATFORM = /^(@koromix\/koffi)-.*$/;

test('every package that is installed has its row', () => {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, Locked>;
  };
  const installed = closure(packages, []).map((path) => {
    const name = path.replace(/^.*node_modules\//, '').replace(PLATFORM, '$1-linux-x64');
    return `${name} ${packages[path]?.license}`;
  });
  const rows = read('docs/licences.md').matchAll(/^\| (\S+) +\| (\S+) +\|/gm);
  const named = [...rows].map(([, name, licence]) => `${name} ${licence}`);
  const head = new Set(['package licence', '--- ---']);
  expect(named.filter((row) => !head.has(row) && !row.startsWith('-')).toSorted()).toEqual(
    [...new Set(installed)].toSorted(),
  );
});

test('every dependency is pinned to one version, and every installed package to one hash', () => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
    devDependencies: Record<string, string>;
  };
  const loose = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies }).filter(
    ([, version]) => !/^\d+\.\d+\.\d+$/.test(version),
  );
  expect(loose).toEqual([]);
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { integrity?: string }>;
  };
  const unhashed = closure(packages as never, []).filter(
    (path) => packages[path]?.integrity?.startsWith('sha512-') !== true,
  );
  expect(unhashed).toEqual([]);
});

test('the packages in the bundle are named with their licences', () => {
  const make = readFileSync(join(root, 'packaging/bundle/make'), 'utf8');
  const packages = /^PACKAGES=\((.*)\)$/m.exec(make)?.[1]?.split(' ') ?? [];
  const node = /^NODE=(.*)$/m.exec(make)?.[1] ?? '';
  const page = read('docs/licences.md').replace(/^.*\n## The bundle\n/s, '');
  expect(packages).toContain('libc6');
  for (const name of packages) expect(page).toContain(`\`licences/${name}\``);
  expect(page).toContain(`Node.js ${node}:`);
});
