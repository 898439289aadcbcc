// Bundles the executable: dist/src/cli/bin.js, as tsc made it, and what it imports statically become bin.cjs.
import { chmod, rm } from 'node:fs/promises';
import { dirname, relative, resolve } from 'node:path';
import { build } from 'esbuild';

const ENTRY = 'dist/src/cli/bin.js';
const OUTFILE = 'dist/src/cli/bin.cjs';

/** Dynamic imports stay imports of the files in dist/src. */
const dynamicImports = {
  name: 'dynamic imports',
  setup({ onResolve }) {
    onResolve({ filter: /^\./ }, ({ kind, path, resolveDir }) => {
      if (kind !== 'dynamic-import') return undefined;
      const target = relative(dirname(resolve(OUTFILE)), resolve(resolveDir, path));
      return { path: target.startsWith('.') ? target : `./${target}`, external: true };
    });
  },
};

await build({
  entryPoints: [ENTRY],
  outfile: OUTFILE,
  bundle: true,
  platform: 'node',
  // Node starts a CommonJS file 5 ms earlier than an ES module.
  format: 'cjs',
  // Node 12 to 18 must be able to parse the file, to say that they are too old. They parse import() too.
  target: 'node12',
  supported: { 'dynamic-import': true },
  // package.json says that no module has side effects. bin.js imports one for its effect.
  ignoreAnnotations: true,
  plugins: [dynamicImports],
});

await chmod(OUTFILE, 0o755);
// It is not an executable of its own, and nothing imports it.
for (const suffix of ['.js', '.js.map', '.d.ts']) await rm(`dist/src/cli/bin${suffix}`);
