// Bundles the script of the page that the service shows to browsers, and copies the page and its style next to it.
import { build } from 'esbuild';

const PAGE = 'src/service/page';

await build({
  entryPoints: [`${PAGE}/page.ts`, `${PAGE}/page.html`, `${PAGE}/page.css`],
  outdir: `dist/${PAGE}`,
  bundle: true,
  format: 'iife',
  target: 'es2023',
  loader: { '.html': 'copy', '.css': 'copy' },
});
