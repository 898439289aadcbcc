/** Upgrading, stopping and uninstalling. */
import type { Checks } from './checks.ts';
import type { Host } from './host.ts';
import { shellBlock } from './documented.ts';
import { NEWER_VERSION } from './payload.ts';

/** Files, units and processes with the name of the package. */
const LEFTOVERS = `
  find / -xdev -path /srv -prune -o -path /var/log -prune -o -name "*xen-domid*" -print; find /run -name "*xen-domid*"
  systemctl list-units --all --no-legend "xen-domid*"; pgrep --list-full --full "xen-domid/dist" || true`;

export async function checkUpgrade(
  host: Host,
  { check }: Pick<Checks, 'check'>,
  deb: string,
): Promise<void> {
  await check('upgrade: a subscriber goes on, and the newer version answers', async () => {
    await host.ok(
      'setsid xen-domid watch --json >/srv/upgrade.json 2>&1 & until_ok 300 test -s /srv/upgrade.json',
    );
    await host.ok(`dpkg --install /srv/${deb}_${NEWER_VERSION}_amd64.deb`);
    await host.expect('ask version', new RegExp(`"package":"${NEWER_VERSION}"`));
    await host.ok('guest 4');
    await host.ok('until_ok 300 grep -q "\\"kind\\":\\"created\\".*$(uuid 4)" /srv/upgrade.json');
    await host.ok('pkill -f "xen-domid watch"; xl destroy guest-4');
  });
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
  await check('--group with SupplementaryGroups= and without the socket unit', async () => {
    await host.expect(
      `systemctl stop xen-domid.socket xen-domid.service
       groupadd --force --system lab-readers
       mkdir -p /run/systemd/system/xen-domid.service.d
       printf '[Service]\\nExecStart=\\nExecStart=/usr/bin/env xen-domid serve --group lab-readers\\nSupplementaryGroups=lab-readers\\n' >/run/systemd/system/xen-domid.service.d/lab.conf
       systemctl daemon-reload && systemctl start xen-domid.service
       stat -c '%a %U %G' $SOCKET
       . /srv/lab.sh; printf '{"jsonrpc":"2.0","id":1,"method":"version"}\\n' | setpriv --reuid 65534 --regid 65534 --groups "$(getent group lab-readers | cut -d: -f3)" socat -t 30 - UNIX-CONNECT:$SOCKET | grep -o '"protocol"'
       printf '{"jsonrpc":"2.0","id":1,"method":"version"}\\n' | setpriv --reuid 65534 --regid 65534 --clear-groups socat -t 30 - UNIX-CONNECT:$SOCKET 2>/dev/null || echo refused`,
      '660 root lab-readers\n"protocol"\nrefused',
    );
  });
  await check(
    '--group without SupplementaryGroups= is refused, with the name of the group',
    async () => {
      await host.expect(
        `sed -i /Supplementary/d /run/systemd/system/xen-domid.service.d/lab.conf; systemctl daemon-reload
       systemctl restart xen-domid.service 2>/dev/null; systemctl stop xen-domid.service; journalctl -b -t xen-domid -o cat --no-pager | tail -n 3
       rm -r /run/systemd/system/xen-domid.service.d; systemctl daemon-reload; systemctl reset-failed xen-domid.service; systemctl start xen-domid.socket xen-domid.service`,
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

export async function checkPurge(
  host: Host,
  { check }: Pick<Checks, 'check'>,
  deb: string,
): Promise<void> {
  await check('removed and purged, nothing is left, and no unit has failed', async () => {
    await host.ok(`dpkg --purge ${deb}`);
    await host.expect(LEFTOVERS, '');
    await host.expect('getent group xen-domid || echo none', 'none');
    await host.expect('systemctl --failed --no-legend', '');
  });
}
