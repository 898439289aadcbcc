/** In a process of its own each, because a limit of descriptors holds for a whole process. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { DIST } from '../mutants/patched-build.ts';

const run = promisify(execFile);

/** Opens the hypervisor of this machine in a process with few descriptors, all of them used or not. */
async function openIn({ exhausted }: { exhausted: boolean }): Promise<Record<string, unknown>> {
  const script = `
    import { openSync, closeSync, readdirSync } from 'node:fs';
    const { checkDevices } = await import(${JSON.stringify(join(DIST, 'src/hypervisor/devices.js'))});
    const used = [];
    try { while (${exhausted}) used.push(openSync('/dev/null')); } catch {}
    let thrown;
    try { checkDevices(); } catch (error) { thrown = error; }
    for (const descriptor of used) closeSync(descriptor);
    const before = readdirSync('/proc/self/fd').length;
    for (let round = 0; round < 100; round++) try { checkDevices(); } catch {}
    const leaked = readdirSync('/proc/self/fd').length - before;
    const { code, errno, message } = thrown ?? {};
    process.stdout.write(JSON.stringify({ code, errno, message, leaked }));
  `;
  const args = ['--input-type=module', '-e', script];
  const { stdout } = await run('sh', [
    '-c',
    'ulimit -n 100; exec "$0" "$@"',
    process.execPath,
    ...args,
  ]);
  return JSON.parse(stdout) as Record<string, unknown>;
}

test('without a free descriptor, the error names the limit, and does not say that there is no Xen', async () => {
  expect(await openIn({ exhausted: true })).toEqual({
    code: 'ERR_HYPERCALL',
    errno: 'EMFILE',
    message: expect.stringContaining('no file descriptor is free (EMFILE)'),
    leaked: 0,
  });
});

test('a check of the devices leaves no descriptor', async () => {
  expect(await openIn({ exhausted: false })).toMatchObject({ leaked: 0 });
});

/** Opens no device: each path ends with an error number, or without one. */
async function checkedWith(outcomes: Record<string, string>): Promise<unknown> {
  const script = `
    import fs from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    const outcomes = ${JSON.stringify(outcomes)};
    fs.openSync = (path) => {
      if (outcomes[path] === undefined) return 99;
      throw Object.assign(new Error(path), { code: outcomes[path] });
    };
    fs.closeSync = () => undefined;
    syncBuiltinESMExports();
    const { checkDevices } = await import(${JSON.stringify(join(DIST, 'src/hypervisor/devices.js'))});
    let told = 'usable';
    try { checkDevices(); } catch ({ code, message }) { told = code + ' ' + message; }
    process.stdout.write(told);
  `;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script]);
  return stdout;
}

const [DEV, PROC, HYPERCALL] = ['/dev/xen/privcmd', '/proc/xen/privcmd', '/dev/xen/hypercall'];

test.each([
  ['usable', { [HYPERCALL]: 'ENOENT' }],
  ['usable', { [PROC]: 'EACCES' }],
  ['usable', { [DEV]: 'ENOENT' }],
  ['ERR_NOT_PERMITTED not permitted to open /dev/xen/privcmd', { [DEV]: 'EACCES' }],
  ['ERR_NOT_PERMITTED /dev/xen/hypercall exists', { [HYPERCALL]: 'EACCES' }],
  ['ERR_NO_XEN', { [DEV]: 'ENOENT', [PROC]: 'ENOENT' }],
])('is %s where opening the devices ends with %j', async (told, outcomes) => {
  expect(await checkedWith(outcomes)).toMatch(new RegExp(`^${told}`));
});
