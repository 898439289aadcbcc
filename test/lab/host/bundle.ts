/** The bundle with its unit, which is made for a systemd as old as CentOS 7's, on the host's own systemd. */
import { checkSandbox } from './sandbox.ts';
import type { Checks } from './checks.ts';
import { shellBlock } from './documented.ts';
import type { Host } from './host.ts';
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
  await check('systemd knows all settings of its unit', async () => {
    await host.expect('systemd-analyze verify xen-domid.service 2>&1 | grep xen-domid || true', '');
  });
  await checkSandbox(host, checks, /: 3\.[0-2] OK/);
  await check('kill -9: it is started again, and answers', async () => {
    await host.expect(
      `old=$(property MainPID); kill -9 $old
       until_ok 900 sh -c '. /srv/lab.sh; [ $(property MainPID) != '$old' ] && systemctl is-active xen-domid.service'; ask version "" 300`,
      /"protocol":/,
    );
  });
  await check('removed by the lines of docs/install.md, nothing is left', async () => {
    const lines = await shellBlock('docs/install.md', 'rm -r /opt/xen-domid');
    await host.ok(`set -e\n${lines.join('\n')}`);
    await host.expect(LEFTOVERS, '');
  });
}
