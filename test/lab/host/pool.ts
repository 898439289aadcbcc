/** The bridge to a pool, by its unit of the Debian package: set up by the lines of docs/pool.md, with a NATS server in the host itself. */
import assert from 'node:assert/strict';

import type { Checks } from './checks.ts';
import { fileBlock, shellBlock } from './documented.ts';
import type { Host } from './host.ts';
import { domids } from './installed.ts';
import { checkPurge } from './leaving.ts';
import { checkSandbox, checkUnits, NEWER_SETTINGS } from './sandbox.ts';

const PAGE = 'docs/pool.md';
const UNIT = 'xen-domid-pool.service';
/** Name of the machine, and so of the host in the pool. */
const NAME = 'lab-host';
const ADDRESS = '127.0.0.1';
const INSTALL_MS = 1_800_000;

const SETTINGS = '/etc/default/xen-domid-pool';
const DROP_IN = `/etc/systemd/system/${UNIT}.d`;
const CREDENTIALS = '/etc/xen-domid';
/** Files that a person writes for the bridge; a package must leave them alone. */
const WRITTEN = [SETTINGS, DROP_IN, CREDENTIALS];

/** Mounts that are writable for the bridge: no file stays there when it has ended. */
const WRITABLE_MOUNTS = ['/dev/pts', '/proc', '/tmp', '/var/tmp'];

/** A UUID that no domain has. */
const UNKNOWN = '6d4f1a5e-0b7c-4c4e-9d2a-3f1e5b7a9cff';

function file(path: string, lines: readonly string[]): string {
  return `cat >${path} <<'END'\n${lines.join('\n')}\nEND\n`;
}

/** The configuration of docs/pool.md for one server that has no cluster, and the accounts with this host's name. */
async function makeServer(host: Host): Promise<void> {
  const accounts = await fileBlock(PAGE, 'accounts {');
  await host.ok(
    file('/srv/nats.conf', [
      'server_name: lab',
      `listen: "${ADDRESS}:4222"`,
      'jetstream { store_dir: "/srv/nats" }',
      // The default of 1 s is too short for a client on an emulated processor that does much else.
      'authorization { timeout: 60 }',
      ...accounts.map((line) => line.replaceAll('xen1', NAME)),
    ]),
  );
  await host.ok(
    'umask 077; echo reader:SECRET-R >/srv/reader.creds; chown nobody /srv/reader.creds',
  );
  await host.ok('start_nats');
}

async function setUp(host: Host): Promise<void> {
  const settings = await fileBlock(PAGE, 'XEN_DOMID_NATS=');
  const dropIn = await fileBlock(PAGE, 'LoadCredential=');
  const lines = await shellBlock(PAGE, 'systemctl enable --now xen-domid-pool.service');
  await host.ok(
    [
      file(
        SETTINGS,
        settings.map((line) =>
          line
            .replace(/^(XEN_DOMID_NATS)=.*/, `$1=nats://${ADDRESS}:4222`)
            .replace(/^POOL_OPTIONS=.*/, '$& --replicas 1'),
        ),
      ),
      // By the same path as `systemctl edit`, which needs a terminal.
      `mkdir ${DROP_IN}`,
      file(
        `${DROP_IN}/override.conf`,
        dropIn.map((line) => line.replace(/^(IPAddressAllow)=.*/, `$1=${ADDRESS}`)),
      ),
      'systemctl daemon-reload; set -e',
      ...lines.map((line) => line.replaceAll('xen1', NAME)),
    ].join('\n'),
  );
}

async function checkAnswers(host: Host, { check }: Pick<Checks, 'check'>): Promise<void> {
  await check('pool hosts: this host answers, with its version of Xen', async () => {
    await host.expect('pool hosts', new RegExp(`^Host .*\\n${NAME} +answers +1 +4\\.\\d+\\S* `));
  });
  await check('pool list shows what xl list shows', async () => {
    await host.expect(
      `pool list --json | node -e '${LIST_JSON}'`,
      (await domids(host)).replace(/^/gm, `${NAME} `),
    );
  });
  await check('pool lookup prints the host and the domid', async () => {
    await host.expect('pool lookup $(uuid 1)', `${NAME} ${await host.ok('xl domid guest-1')}`);
  });
  await check('an unknown UUID is not found, exit status 1', async () => {
    const { status, out } = await host.say(`pool lookup ${UNKNOWN}`);
    assert.equal(status, 1, out);
    assert.match(out, /no host has a domain/);
  });
}
const LIST_JSON =
  'for (const { host, domains } of JSON.parse(require("fs").readFileSync(0)).hosts) for (const { domid } of domains) console.log(host, domid)';

/** Confinement beyond that of any unit of this package: no root, no device, nothing to write. */
async function checkConfined(host: Host, { check }: Pick<Checks, 'check'>): Promise<void> {
  await check('its user is not root, and is in the group of the socket', async () => {
    await host.expect(
      `awk '/^(Uid|Gid|Groups):/ { $1 = ""; print }' /proc/$(property MainPID ${UNIT})/status; getent group xen-domid | cut -d: -f3`,
      /^ (?!0 )(\d+) \1 \1 \1\n (?!0 )(\d+) \2 \2 \2\n(?: \d+)* (\d+)(?: \d+)*\n\3$/,
    );
  });
  await check('it has no device of Xen and no disk', async () => {
    await host.expect(
      `nsenter --target $(property MainPID ${UNIT}) --mount ls /dev | grep -E "^(xen|vd|mem|kmsg|net)" || echo none`,
      'none',
    );
  });
  await check('in its mount namespace, root itself cannot write where files stay', async () => {
    await host.expect(
      `awk '$6 ~ /^rw/ { print $5 }' /proc/$(property MainPID ${UNIT})/mountinfo | sort -u`,
      WRITABLE_MOUNTS.join('\n'),
    );
    await host.expect(
      `for folder in /etc /usr /var/lib /srv /run /root; do nsenter --target $(property MainPID ${UNIT}) --mount touch $folder/lab-escape 2>&1 | grep -c "Read-only file system"; done`,
      '1\n1\n1\n1\n1\n1',
    );
  });
}

async function checkPoolFaults(host: Host, { check }: Pick<Checks, 'check'>): Promise<void> {
  const lookup = async (): Promise<string> => `${NAME} ${await host.ok('xl domid guest-1')}`;
  await check('kill -9: it comes back, and answers', async () => {
    await host.expect(
      `old=$(property MainPID ${UNIT}); kill -9 $old
       until_ok 900 pool_is_another $old; pool_finds 1; property NRestarts ${UNIT}`,
      `${await lookup()}\n1`,
    );
  });
  await check('the NATS server stopped and started again: the same process answers', async () => {
    await host.expect(
      `old=$(property MainPID ${UNIT}); systemctl stop lab-nats; pool lookup $(uuid 1) >/dev/null 2>&1; echo $?
       start_nats; pool_finds 1; pool_is_another $old || echo same`,
      `4\n${await lookup()}\nsame`,
    );
  });
  await check(
    'the service restarted: the same process answers, and for a VM that came since',
    async () => {
      await host.ok(
        `property MainPID ${UNIT} >/srv/old; systemctl restart xen-domid.service; guest 2`,
      );
      await host.expect(
        'pool_finds 1 2; pool_is_another $(cat /srv/old) || echo same',
        `${await host.ok('uuid 1')} ${await lookup()}\n${await host.ok('uuid 2')} ${NAME} ${await host.ok('xl domid guest-2')}\nsame`,
      );
    },
  );
  await check('its memory', async () => {
    const out = await host.ok(
      `awk '/^VmRSS:/ { print $2 }' /proc/$(property MainPID ${UNIT})/status; property MemoryCurrent ${UNIT}`,
    );
    const [resident = Number.NaN, group = Number.NaN] = out.split('\n').map(Number);
    console.log(
      `      ${(resident / 1024).toFixed(0)} MiB resident, ${(group / 2 ** 20).toFixed(0)} MiB of its limit of 256 MiB`,
    );
    assert.ok(group < 128 * 2 ** 20, out);
  });
}

async function checkPoolReboot(host: Host, { check }: Pick<Checks, 'check'>): Promise<void> {
  await check('the host reboots', async () => {
    await host.say('xl destroy guest-1; xl destroy guest-2');
    console.log(`      ${Math.round((await host.machine.reboot()) / 1000)} s`);
  });
  await check('after the reboot it waits for a NATS server that is late, and answers', async () => {
    await host.ok(
      `until_ok 900 sh -c 'journalctl -b -u ${UNIT} -o cat | grep "no NATS server answers"'; start_nats; guest 1`,
    );
    await host.expect('pool_finds 1', `${NAME} ${await host.ok('xl domid guest-1')}`);
  });
}

async function checkPoolStop(host: Host, { check }: Pick<Checks, 'check'>): Promise<void> {
  // The unit's TimeoutStopSec is 5 s: later, it would have been killed, and have failed.
  await check('systemctl stop ends it in time, and it is no failure', async () => {
    await host.expect(
      `systemctl stop ${UNIT}; systemctl show -p Result,ActiveState --value ${UNIT}`,
      'success\ninactive',
    );
  });
  await check(
    'stopped: VMs are unavailable, with the host named, and none is not found',
    async () => {
      for (const uuid of ['$(uuid 1)', UNKNOWN]) {
        const { status, out } = await host.say(`pool lookup ${uuid}`);
        assert.equal(status, 4, out);
        assert.match(out, new RegExp(`these hosts did not answer: ${NAME} \\(`));
      }
    },
  );
  await check('without the group of the socket it says why, and VMs are unavailable', async () => {
    await host.ok(
      `mkdir -p /run/systemd/system/${UNIT}.d; printf '[Service]\\nSupplementaryGroups=\\n' >/run/systemd/system/${UNIT}.d/lab.conf; systemctl daemon-reload; systemctl start ${UNIT}`,
    );
    await host.ok(
      `until_ok 900 sh -c 'journalctl -b -u ${UNIT} -o cat | grep "xen-domid.sock.*EACCES"'`,
    );
    const { status, out } = await host.say('pool lookup $(uuid 1)');
    assert.equal(status, 4, out);
    await host.ok(
      `rm -r /run/systemd/system/${UNIT}.d; systemctl daemon-reload; systemctl restart ${UNIT}; until_ok 900 pool hosts`,
    );
  });
}

/** Everything about the bridge of the Debian package `deb`. */
export async function checkPool(host: Host, checks: Checks, deb: string): Promise<void> {
  const { check } = checks;
  checks.heading(`The Debian package ${deb}, a VM, and a NATS server`);
  await check('dpkg --install: the bridge is not enabled, and does not run', async () => {
    await host.ok(`dpkg --install $(ls /srv/${deb}_[0-8]*_amd64.deb)`, INSTALL_MS);
    await host.expect(
      `systemctl is-enabled ${UNIT}; systemctl is-active ${UNIT} || true`,
      'disabled\ninactive',
    );
    await host.ok('until_ok 900 up_or_failing; guest 1');
  });
  await check('a NATS server with the accounts of docs/pool.md', () => makeServer(host));
  checks.heading('The bridge, by the lines of docs/pool.md');
  await check('set up, enabled and started: up without a restart', async () => {
    await setUp(host);
    await host.ok('until_ok 900 pool hosts');
    await host.expect(
      `systemctl is-active ${UNIT}; systemctl is-enabled ${UNIT}; property NRestarts ${UNIT}`,
      'active\nenabled\n0',
    );
  });
  await checkAnswers(host, checks);
  checks.heading('Sandbox of the bridge');
  await checkSandbox(host, checks, UNIT, /: 1\.[0-2] OK/);
  // The unit is read together with the service's, after which it is ordered.
  await checkUnits(host, checks, UNIT, NEWER_SETTINGS);
  await checkConfined(host, checks);
  checks.heading('Faults of the bridge');
  await checkPoolFaults(host, checks);
  checks.heading('After a reboot');
  await checkPoolReboot(host, checks);
  checks.heading('Stopped, and purged');
  await checkPoolStop(host, checks);
  await checkPurge(host, checks, deb, WRITTEN);
  await host.say('xl destroy guest-1; systemctl stop lab-nats');
}
