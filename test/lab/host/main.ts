/** `npm run test:host [-- RELEASE [PART]]`: a whole Debian host with Xen; the package is installed, used, broken and removed there. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { withApt } from '../debian.ts';
import { missingPackages } from '../prerequisites.ts';
import { checkBundle } from './bundle.ts';
import { Checks } from './checks.ts';
import { shellBlock } from './documented.ts';
import { checkFaults, checkKilled, checkXenstored } from './faults-of-host.ts';
import { checkGuests, endGuests } from './guests.ts';
import { Host } from './host.ts';
import { hostImage } from './host-image.ts';
import { HOST_RELEASES, hostOf, type HostRelease } from './host-release.ts';
import { checkDropIns } from './drop-ins.ts';
import { checkBootOrder, checkRunning, checkWithoutXen } from './installed.ts';
import { checkGroups, checkLeaving, checkPurge, checkStopping, checkUpgrade } from './leaving.ts';
import { type BootEntry, Machine } from './machine.ts';
import { checkPool } from './pool.ts';
import { makePayload, OFFLINE, type Part, PARTS } from './payload.ts';
import { checkSandbox, checkUnits, NEWER_SETTINGS } from './sandbox.ts';

const INSTALL_MS = 1_800_000;

const NPM_INSTALL = 'npm install --global';

/** The README's lines for dom0: those before make the package, on another machine. */
async function installLines(): Promise<string[]> {
  const lines = await shellBlock('README.md', 'systemctl enable');
  return lines.slice(lines.findIndex((line) => line.startsWith(NPM_INSTALL)));
}

async function reboot(host: Host, { check }: Checks, entry: BootEntry = 'xen'): Promise<void> {
  await check('the host reboots', async () => {
    console.log(`      ${Math.round((await host.machine.reboot(entry)) / 1000)} s`);
  });
}

/** The Debian package: installed, and in everyday use. */
async function checkInstalled(host: Host, checks: Checks, deb: string): Promise<void> {
  checks.heading(`The Debian package ${deb}`);
  await checks.check('dpkg --install', async () => {
    await host.ok(`dpkg --install $(ls /srv/${deb}_[0-8]*_amd64.deb)`, INSTALL_MS);
  });
  await checkRunning(host, checks, 'after installing');
  checks.heading('VMs');
  await checkGuests(host, checks);
  checks.heading('Sandbox');
  await checkSandbox(host, checks, 'xen-domid.service', /: 1\.[0-8] OK/);
  await checkUnits(host, checks, 'xen-domid.socket xen-domid.service', NEWER_SETTINGS);
  checks.heading('Faults');
  await checkKilled(host, checks);
}

async function checkReboot(host: Host, checks: Checks): Promise<void> {
  checks.heading('After a reboot');
  await reboot(host, checks);
  await checkRunning(host, checks, 'after the reboot');
  await checkBootOrder(host, checks);
}

/** The checks that CI has time for. */
async function checkEssentials(host: Host, checks: Checks, deb: string): Promise<void> {
  await checkInstalled(host, checks, deb);
  await endGuests(host);
  await checkReboot(host, checks);
  checks.heading('Purge');
  await checkPurge(host, checks, deb);
}

/** Everything about the Debian package. */
async function checkPackage(host: Host, checks: Checks, deb: string): Promise<void> {
  await checkInstalled(host, checks, deb);
  await checkFaults(host, checks);
  await checkXenstored(host, checks);
  await endGuests(host);
  checks.heading('Stop, groups');
  await checkStopping(host, checks);
  await checkGroups(host, checks, 'xen-domid');
  checks.heading('Drop-ins');
  await checkDropIns(host, checks);
  checks.heading('After a reboot without Xen');
  await reboot(host, checks, 'linux');
  await checkWithoutXen(host, checks);
  await checkReboot(host, checks);
  checks.heading('Upgrade and purge');
  await checkUpgrade(host, checks, deb);
  await checkPurge(host, checks, deb);
}

/** The npm package, by the lines of the documentation. */
async function checkReadme(host: Host, checks: Checks): Promise<void> {
  checks.heading('Installed by the lines of README.md');
  for (const line of await installLines()) {
    await checks.check(`installing: ${line}`, async () => {
      await host.ok(`cd /srv; ${OFFLINE}\n${line}`, INSTALL_MS);
    });
  }
  await checkRunning(host, checks, 'after installing');
  await reboot(host, checks);
  await checkRunning(host, checks, 'after the reboot');
  checks.heading('Uninstalled by the lines of docs/install.md');
  await checkStopping(host, checks);
  await checkLeaving(host, checks);
}

async function run(debian: HostRelease, parts: readonly Part[]): Promise<boolean> {
  const begin = performance.now();
  const seconds = (): string => `${Math.round((performance.now() - begin) / 1000)} s`;
  const directory = await mkdtemp(join(tmpdir(), 'xen-domid-host-'));
  const described = hostOf(debian);
  const image = await withApt(() => hostImage(described));
  const payload = await makePayload(directory, described.deb, parts);
  console.log(`Debian ${debian}, Xen ${described.xen}: image and payload after ${seconds()}`);
  const machine = await Machine.make(image, directory, payload);
  const host = new Host(machine);
  const checks = new Checks(() => host.state());
  let ended = false;
  try {
    await machine.boot();
    console.log(`booted after ${seconds()}`);
    await machine.sh('tar -xf /dev/vdb -C /srv', INSTALL_MS);
    if (parts.includes('essentials')) await checkEssentials(host, checks, described.deb);
    if (parts.includes('package')) await checkPackage(host, checks, described.deb);
    if (parts.includes('readme')) await checkReadme(host, checks);
    if (parts.includes('bundle')) await checkBundle(host, checks);
    if (parts.includes('pool')) await checkPool(host, checks, described.deb);
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
  const releases = HOST_RELEASES.filter((one) => args.length === 0 || one === args[0]);
  const parts = PARTS.filter((one) => (args.length < 2 ? one !== 'essentials' : one === args[1]));
  if (args.length > 2 || releases.length === 0 || parts.length === 0) {
    console.error(
      `usage: npm run test:host [-- RELEASE [PART]]\nRELEASE of Debian: ${HOST_RELEASES.join(', ')}; PART: ${PARTS.join(', ')}; by default both releases, and all parts, of which essentials is a shorter package`,
    );
    return 2;
  }
  const missing = await missingPackages('host');
  if (missing.length > 0) {
    console.error(
      `Debian packages are missing here: apt-get install -y --no-install-recommends ${missing.join(' ')}`,
    );
    return 2;
  }
  let ok = true;
  for (const debian of releases) ok = (await run(debian, parts)) && ok;
  return ok ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
