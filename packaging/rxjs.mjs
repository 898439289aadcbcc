// Puts the part of RxJS that the package uses into dist/src/rxjs.js. Its types stay those of the package rxjs.
import { rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { build } from 'esbuild';

const { version } = createRequire(import.meta.url)('rxjs/package.json');
const FILE = 'dist/src/rxjs.js';

await build({
  entryPoints: [FILE],
  outfile: FILE,
  allowOverwrite: true,
  bundle: true,
  format: 'esm',
  // RxJS's ES modules, of which unused ones are left out. For Node it names its CommonJS files, which stay whole.
  platform: 'neutral',
  conditions: ['es2015'],
  target: 'node20',
  banner: {
    js: `/* A part of RxJS ${version}. Apache License 2.0: see LICENSE.txt in the package rxjs. */`,
  },
});

// It is the map of the file that was there before.
await rm(`${FILE}.map`);
