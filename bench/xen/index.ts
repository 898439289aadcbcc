/** `npm run bench:xen [-- PART...] [RELEASE...]`: what each way costs on a real Xen, in the lab. */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';

import { checkPrerequisites } from '../../test/xen/prerequisites.ts';
import { Progress } from '../../test/xen/progress.ts';
import { RELEASES } from '../../test/xen/release.ts';
import { measureInDom0 } from './in-dom0.ts';
import { STORM_FILE, type StormResult } from './results.ts';

const progress = new Progress(process.stdout);
await checkPrerequisites();
const releases = RELEASES.filter((r) => process.argv.includes(r));
const reports = [];
for (const release of releases) {
  reports.push(
    await measureInDom0<StormResult>(
      'storm',
      {
        release,
        script: ['storm-in-dom0.js'],
        file: STORM_FILE,
        env: { XEN_DOMID_BENCH_VMS: process.env['XEN_DOMID_BENCH_VMS'] ?? '100,300,1000' },
      },
      progress,
    ),
  );
}
progress.close();
const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'unknown processor'}`;
await mkdir(join('bench', 'results'), { recursive: true });
await writeFile(join('bench', 'results', 'xen-storm.json'), `${JSON.stringify({ machine, reports }, undefined, 2)}\n`);
