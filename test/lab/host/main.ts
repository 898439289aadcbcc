/** `npm run test:host [-- 12|13]`: a whole Debian host with Xen, installed by the README's own lines, rebooted, and held to it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { withApt } from '../debian.ts';
import { missingPackages } from '../prerequisites.ts';
import { Checks } from './checks.ts';
import { shellBlock } from './documented.ts';
import { checkFaults, checkXenstored } from './faults-of-host.ts';
import { checkGuests } from './guests.ts';
import { Host } from './host.ts';
import { hostImage } from './host-image.ts';
import { HOST_RELEASES, hostOf, type HostRelease } from './host-release.ts';
import { checkRunning } from './installed.ts';
import { checkLeaving, checkPurge, checkStopping, checkUpgrade } from './leaving.ts';
import { Machine } from './machine.ts';
import { makePayload, OFFLINE } from './payload.ts';
import { checkSandbox } from './sandbox.ts';

const INSTALL_MS = 900_000;

const NPM_INSTALL = 'npm install --global';

/** The README's lines for dom0: those before make the package, on another machine. */
async function installLines(): Promise<string[]> {
  const lines = await shellBlock('README.md', NPM_INSTALL);
  return lines.slice(lines.findIndex((line) => line.startsWith(NPM_INSTALL)));
}

async function checkInstall(host: Host, { check }: Checks): Promise<void> {
  await host.machine.sh('tar -xf /dev/vdb -C /srv', INSTALL_MS);
  for (const line of await installLines()) {
    await check(`installing: ${line}`, async () => {
      await host.ok(`cd /srv; ${OFFLINE}\n${line}`, INSTALL_MS);
    });
  }
}

async function checkHost(host: Host, checks: Checks, deb: string): Promise<void> {
  checks.heading('Installed by the lines of README.md');
  await checkInstall(host, checks);
  await checkRunning(host, checks, 'after installing');
  checks.heading('VMs');
  await checkGuests(host, checks);
  checks.heading('Sandbox');
  await checkSandbox(host, checks);
  checks.heading('Faults');
  await checkFaults(host, checks);
  await checkXenstored(host, checks);
  await host.say('pkill -f "xen-domid watch"; xl destroy guest-1; xl destroy guest-3');
  checks.heading('After a reboot');
  await checks.check('the host reboots', async () => {
    console.log(`      ${Math.round((await host.machine.reboot()) / 1000)} s`);
  });
  await checkRunning(host, checks, 'after the reboot');
  checks.heading('Stop and uninstall');
  await checkStopping(host, checks);
  await checkLeaving(host, checks);
  checks.heading(`The Debian package ${deb}`);
  await checks.check('dpkg --install', async () => {
    await host.ok(`dpkg --install $(ls /srv/${deb}_[0-8]*_amd64.deb)`);
  });
  await checkRunning(host, checks, 'package');
  await checkUpgrade(host, checks, deb);
  await checkPurge(host, checks, deb);
}

async function run(debian: HostRelease): Promise<boolean> {
  const begin = performance.now();
  const seconds = (): string => `${Math.round((performance.now() - begin) / 1000)} s`;
  const directory = await mkdtemp(join(tmpdir(), 'xen-domid-host-'));
  const described = hostOf(debian);
  const image = await withApt(() => hostImage(described));
  const payload = await makePayload(directory, described.deb);
  console.log(`Debian ${debian}, Xen ${described.xen}: image and payload after ${seconds()}`);
  const machine = await Machine.make(image, directory, payload);
  const host = new Host(machine);
  const checks = new Checks(() => host.state());
  let ended = false;
  try {
    await machine.boot();
    console.log(`booted after ${seconds()}`);
    await checkHost(host, checks, described.deb);
    ended = true;
  } finally {
    await machine.off();
    console.log(`\nDebian ${debian}: ${checks.summary()}, ${seconds()}`);
    if (ended && checks.ok) await rm(directory, { recursive: true });
    else console.log(`The console, and all that was asked: ${join(directory, 'console.log')}`);
  }
  return checks.ok;
}

async function main(args: readonly string[]): Promise<number> {
  const chosen = args.length === 0 ? HOST_RELEASES : HOST_RELEASES.filter((one) => one === args[0]);
  if (args.length > 1 || chosen.length === 0) {
    console.error(
      `usage: npm run test:host [-- RELEASE]\nRELEASE of Debian: ${HOST_RELEASES.join(', ')}; both by default`,
    );
    return 2;
  }
  const missing = await missingPackages(true);
  if (missing.length > 0) {
    console.error(
      `Debian packages are missing here: apt-get install -y --no-install-recommends ${missing.join(' ')}`,
    );
    return 2;
  }
  let ok = true;
  for (const debian of chosen) ok = (await run(debian)) && ok;
  return ok ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
