/** The bundle with its unit, which is made for a systemd as old as CentOS 7's, on the host's own systemd. */
import { checkSandbox, checkUnits } from './sandbox.ts';
import type { Checks } from './checks.ts';
import { shellBlock } from './documented.ts';
import type { Host } from './host.ts';
import { checkXenstored } from './faults-of-host.ts';
import { checkGuests, endGuests } from './guests.ts';
import { domids } from './installed.ts';
import { LEFTOVERS } from './leaving.ts';

const INSTALL_MS = 1_800_000;

export async function checkBundle(host: Host, checks: Checks): Promise<void> {
  const { check } = checks;
  checks.heading('The bundle, by the lines of docs/operations.md');
  await check('unpacked, enabled and started', async () => {
    const lines = await shellBlock('docs/operations.md', 'tar -xzf xen-domid-');
    await host.ok(`cd /srv; set -e\n${lines.join('\n')}`, INSTALL_MS);
    await host.expect(
      'systemctl is-active xen-domid.service; systemctl is-enabled xen-domid.service; property NRestarts; property StatusText',
      'active\nenabled\n0\nanswering on /run/xen-domid/xen-domid.sock',
    );
  });
  await check('xen-domid list shows what xl list shows', async () => {
    await host.expect('xen-domid list | awk "NR > 1 { print \\$2 }"', await domids(host));
  });
  await check('healthz: xenstore is connected', async () => {
    await host.ok('until_health 900 xenstore true');
  });
  await checkUnits(host, checks, 'xen-domid.service');
  await checkSandbox(host, checks, 'xen-domid.service', /: 3\.[0-2] OK/);
  await check('kill -9: it is started again, and answers', async () => {
    await host.expect(
      `old=$(property MainPID); kill -9 $old
       until_ok 900 sh -c '. /srv/lab.sh; [ $(property MainPID) != '$old' ] && systemctl is-active xen-domid.service'; ask version "" 300`,
      /"protocol":/,
    );
  });
  checks.heading('VMs, and xenstored killed and started again');
  await checkGuests(host, checks);
  await checkXenstored(host, checks);
  await endGuests(host);
  checks.heading('After a reboot');
  await check('the host reboots', async () => {
    await host.machine.reboot();
  });
  await check('after the reboot: the service is up, connected, and answers', async () => {
    await host.ok('until_ok 900 up_or_failing; until_health 900 xenstore true');
    await host.expect('xen-domid list | awk "NR > 1 { print \\$2 }"', await domids(host));
    await host.expect('property NRestarts', '0');
  });
  await check('removed by the lines of docs/install.md, nothing is left', async () => {
    const lines = await shellBlock('docs/install.md', 'rm -r /opt/xen-domid');
    await host.ok(`set -e\n${lines.join('\n')}`);
    await host.expect(LEFTOVERS, '');
  });
}
