/** Upgrading, stopping and uninstalling. */
import type { Checks } from './checks.ts';
import type { Host } from './host.ts';
import { shellBlock } from './documented.ts';
import { serve } from './drop-ins.ts';
import { NEWER_VERSION } from './payload.ts';

/** Files, units and processes with the name of the package. */
export const LEFTOVERS: string = `
  find / -xdev -path /srv -prune -o -path /var/log -prune -o -name "*xen-domid*" -print; find /run -name "*xen-domid*"
  systemctl list-units --all --no-legend "xen-domid*"; pgrep --list-full --full "xen-domid.*/dist/" || true`;

export async function checkUpgrade(
  host: Host,
  { check }: Pick<Checks, 'check'>,
  deb: string,
): Promise<void> {
  await check(
    'upgrade: the socket stays, a subscriber goes on, and the newer version answers',
    async () => {
      await host.ok(
        'setsid xen-domid watch --json >/srv/upgrade.json 2>&1 & until_ok 900 test -s /srv/upgrade.json',
      );
      const inode = await host.ok('stat -c %i $SOCKET');
      await host.ok(`dpkg --install /srv/${deb}_${NEWER_VERSION}_amd64.deb`);
      await host.expect('ask version "" 600', new RegExp(`"package":"${NEWER_VERSION}"`));
      await host.expect('stat -c %i $SOCKET', inode);
      await host.ok('guest 4');
      await host.ok('until_ok 900 grep -q "\\"kind\\":\\"created\\".*$(uuid 4)" /srv/upgrade.json');
      await host.ok('pkill -f "xen-domid.* watch"; xl destroy guest-4');
    },
  );
}

export async function checkStopping(host: Host, { check }: Pick<Checks, 'check'>): Promise<void> {
  // The unit's TimeoutStopSec is 5 s: later, it would have been killed, and have failed.
  await check('systemctl stop ends it in time, and it is no failure', async () => {
    await host.expect(
      'systemctl stop xen-domid.service 2>/dev/null; systemctl show -p Result,ActiveState --value xen-domid.service',
      'success\ninactive',
    );
  });
  await check('a caller starts it again, by the socket', async () => {
    await host.expect('ask version "" 600', /"protocol":/);
  });
}

/**
 * The groups that may ask.
 * @param group the one that the socket unit names.
 */
export async function checkGroups(
  host: Host,
  { check }: Pick<Checks, 'check'>,
  group: 'root' | 'xen-domid',
): Promise<void> {
  const member = 'SupplementaryGroups=lab-readers';
  await check(
    'two sockets of the socket unit, --metrics, and a --group that only the table gets',
    async () => {
      await host.ok(`groupadd --force --system lab-readers
      systemctl stop xen-domid.socket xen-domid.service
      mkdir -p /run/systemd/system/xen-domid.socket.d
      printf '[Socket]\\nListenStream=/run/xen-domid/second.sock\\n' >/run/systemd/system/xen-domid.socket.d/lab.conf
      drop_in ${serve('--group lab-readers --metrics 9790')} ${member}
      systemctl start xen-domid.socket xen-domid.service`);
      await host.expect(
        `stat -c %G $SOCKET /run/xen-domid/domids; as_nobody lab-readers; as_nobody ${group}`,
        `${group}\nlab-readers\nrefused\nanswered`,
      );
      await host.expect(
        'ask version "" 600 && ask version "" 600 /run/xen-domid/second.sock',
        /"protocol".*\n.*"protocol"/,
      );
      await host.expect(
        'curl --silent --show-error --max-time 300 http://127.0.0.1:9790/healthz',
        /"status":"ok"/,
      );
      await host.ok(
        'rm -r /run/systemd/system/xen-domid.socket.d; systemctl stop xen-domid.socket xen-domid.service',
      );
    },
  );
  await check('--group with SupplementaryGroups= and without the socket unit', async () => {
    await host.ok(
      `drop_in ${serve('--group lab-readers')} ${member}; systemctl start xen-domid.service`,
    );
    await host.expect(
      "stat -c '%a %U %G' $SOCKET; as_nobody lab-readers; as_nobody -",
      '660 root lab-readers\nanswered\nrefused',
    );
  });
  await check(
    '--group without SupplementaryGroups= is refused, with the name of the group',
    async () => {
      await host.expect(
        `systemctl stop xen-domid.service; drop_in ${serve('--group lab-readers')}
       systemctl start xen-domid.service 2>/dev/null; systemctl stop xen-domid.service; journal | tail -n 3
       drop_in; systemctl reset-failed xen-domid.service; systemctl start xen-domid.socket xen-domid.service`,
        /cannot be given to group lab-readers \(EPERM\).*SupplementaryGroups=lab-readers/,
      );
    },
  );
}

export async function checkLeaving(host: Host, { check }: Pick<Checks, 'check'>): Promise<void> {
  await check('uninstalled by the lines of docs/install.md, nothing is left', async () => {
    await host.ok((await shellBlock('docs/install.md', 'npm uninstall --global')).join('\n'));
    await host.expect(LEFTOVERS, '');
  });
}

/** @param written paths that a person wrote for the package: it leaves them, and this removes them. */
export async function checkPurge(
  host: Host,
  { check }: Pick<Checks, 'check'>,
  deb: string,
  written: readonly string[] = [],
): Promise<void> {
  await check('purged, nothing is left, and no unit has failed', async () => {
    await host.ok(`dpkg --purge ${deb}`);
    await host.expect(`(${LEFTOVERS}) | sort`, written.toSorted().join('\n'));
    await host.ok(`rm -rf ${written.join(' ')}; systemctl daemon-reload`);
    await host.expect(LEFTOVERS, '');
    await host.expect('getent group xen-domid || echo none', 'none');
    await host.expect('systemctl --failed --no-legend', '');
  });
}
