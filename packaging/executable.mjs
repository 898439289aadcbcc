// Bundles what starts often, or stays: bin.cjs, the executable, and run-serve.js, the daemon that it starts. The modules stay for
// all other commands and for programs that import the package.
import { chmod, rm } from 'node:fs/promises';
import { dirname, relative, resolve } from 'node:path';
import { build } from 'esbuild';

const ENTRY = 'dist/src/cli/bin.js';
const OUTFILE = 'dist/src/cli/bin.cjs';
const SERVE = 'dist/src/cli/run-serve.js';

/** Dynamic imports for which `stays` is true stay imports of the files in dist/src. */
function dynamicImports(outfile, stays) {
  return {
    name: 'dynamic imports',
    setup({ onResolve }) {
      onResolve({ filter: /^\./ }, ({ importer, kind, path, resolveDir }) => {
        if (kind !== 'dynamic-import' || !stays(importer, path)) return undefined;
        const target = relative(dirname(resolve(outfile)), resolve(resolveDir, path));
        return { path: target.startsWith('.') ? target : `./${target}`, external: true };
      });
    },
  };
}

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
  plugins: [dynamicImports(OUTFILE, () => true)],
});

await build({
  entryPoints: [SERVE],
  outfile: SERVE,
  allowOverwrite: true,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  // koffi finds its binary next to itself.
  external: ['koffi'],
  ignoreAnnotations: true,
  // package-version.js reads the package's files from where it is itself.
  define: { 'import.meta.url': 'packageVersionUrl' },
  banner: {
    js: "const packageVersionUrl = new URL('../package-version.js', import.meta.url).href;",
  },
  // The other commands are never run here.
  plugins: [
    dynamicImports(
      SERVE,
      (importer, path) => /\/cli\/main\.js$/.test(importer) && !/\/serve\.js$/.test(path),
    ),
  ],
});

await chmod(OUTFILE, 0o755);
// It is not an executable of its own, and nothing imports it.
for (const suffix of ['.js', '.js.map', '.d.ts']) await rm(`dist/src/cli/bin${suffix}`);
// It is the map of the file that was there before.
await rm(`${SERVE}.map`);
