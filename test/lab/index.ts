/** `npm run test:xen [-- PART [ARGUMENT...]]`: runs one part of the lab; without a name, the suites. */
import { spawnSync } from 'node:child_process';

/** How to run each part. `process.argv.slice(2)` then holds the part's own arguments. */
const PARTS: Readonly<Record<string, () => Promise<unknown>>> = {
  faults: () => import('./faults.ts'),
  churn: () => import('./churn.ts'),
  bundle: async () => {
    const { status } = spawnSync('packaging/bundle/make', { stdio: 'inherit' });
    if (status === 0) await import('./bundle.ts');
    else process.exitCode = 1;
  },
  demo: () => import('./demo.ts'),
  pool: () => import('./pool.ts'),
};

const [name = ''] = process.argv.slice(2);
const part = Object.hasOwn(PARTS, name) ? PARTS[name] : undefined;
if (part === undefined) await import('./matrix.ts');
else {
  process.argv.splice(2, 1);
  await part();
}
