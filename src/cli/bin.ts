#!/usr/bin/env node
/**
 * The executable. The build bundles it into bin.cjs with all that it imports statically: one small file starts faster
 * than many modules. Dynamic imports load the files next to it, of which run-serve.js is a bundle, too.
 */
// oxlint-disable-next-line import/no-unassigned-import -- it runs before the imports below it
import './node-version.ts';
import { run } from './run.ts';

const argv = process.argv.slice(2);
const isBundled = argv[0] === 'lookup' && !argv.includes('--direct');
const start = async (): Promise<void> => {
  const modules = await (argv[0] === 'serve' ? import('./run-serve.ts') : import('./run.ts'));
  await modules.run(argv);
};
// Each bundle, and the modules, have a XenError of their own: a command runs entirely in one of them.
void (isBundled ? run(argv) : start());
