#!/usr/bin/env node
/**
 * The executable. The build bundles it into bin.cjs with all that it imports statically: one small file starts faster
 * than many modules. Dynamic imports load the files next to it.
 */
// oxlint-disable-next-line import/no-unassigned-import -- it runs before the imports below it
import './node-version.ts';
import { run } from './run.ts';

const argv = process.argv.slice(2);
const isBundled = argv[0] === 'lookup' && !argv.includes('--direct');
// The bundle and the modules would each have their own XenError: a command runs entirely in one of the two.
void (isBundled ? run(argv) : import('./run.ts').then((modules) => modules.run(argv)));
