/** The checks of a host on which the package is installed and runs, by whichever way of installing. */
import assert from 'node:assert/strict';

import type { Checks } from './checks.ts';
import type { Host } from './host.ts';

/** That both units are up, and that a client is answered by the hypervisor's word. */
export async function checkRunning(
  host: Host,
  { check }: Pick<Checks, 'check'>,
  when: string,
): Promise<void> {
  await check(`${when}: socket and service are up, without a restart`, async () => {
    await host.ok('until_ok 900 up_or_failing');
    await host.expect(
      'systemctl is-active xen-domid.socket xen-domid.service; systemctl is-enabled xen-domid.socket xen-domid.service; property NRestarts',
      'active\nactive\nenabled\nenabled\n0',
    );
  });
  await check(`${when}: it uses the socket that systemd listens on`, async () => {
    await host.expect('property StatusText', /^answering on \/run\/xen-domid\/xen-domid\.sock$/);
    await host.expect('stat -c "%a %U %G" $SOCKET', /^660 root (root|xen-domid)$/);
    await host.expect('stat -c "%a %U" /run/xen-domid', '755 root');
    await host.expect(
      'ss -xlpH src $SOCKET | grep "pid=1," | grep -c "pid=$(property MainPID),"',
      '1',
    );
  });
  await check(`${when}: xen-domid list shows what xl list shows`, async () => {
    await host.expect('xen-domid list | awk "NR > 1 { print \\$2 }"', await domids(host));
  });
  await check(`${when}: healthz and metrics`, async () => {
    await host.ok(
      `until_ok 900 sh -c '. /srv/lab.sh; page /healthz | grep -q "\\"xenstore\\":true"'`,
    );
    await host.expect('page /metrics', /^xen_domid_/m);
  });
  await check(`${when}: its lines in the journal are those of xen-domid`, async () => {
    await host.expect(
      'journalctl -b -t xen-domid -p 6..6 -o cat --no-pager',
      /^listening on \/run\/xen-domid\/xen-domid\.sock$/m,
    );
  });
}

/** The order in which systemd started them at boot. */
export async function checkBootOrder(host: Host, { check }: Pick<Checks, 'check'>): Promise<void> {
  await check('at boot it starts after xenstored, and connects at the first try', async () => {
    await host.ok(
      '[ $(property ActiveEnterTimestampMonotonic xen.service) -le $(property ExecMainStartTimestampMonotonic) ]',
    );
    await host.expect('journal | grep xenstore || true', '');
  });
}

/** A host that was started without Xen. */
export async function checkWithoutXen(host: Host, { check }: Pick<Checks, 'check'>): Promise<void> {
  await check('without Xen both units are skipped, and have not failed', async () => {
    await host.say('systemctl is-system-running --wait');
    await host.expect('[ -e /sys/hypervisor/type ] || echo none', 'none');
    for (const unit of ['xen-domid.socket', 'xen-domid.service']) {
      await host.expect(
        `systemctl show --property ActiveState,Result,ConditionResult --value ${unit} | sort; systemctl is-failed ${unit} || true`,
        'inactive\nno\nsuccess\ninactive',
      );
    }
  });
}

/** The domids that `xl list` prints, a line each. */
export async function domids(host: Host): Promise<string> {
  const out = await host.ok(`xl list | awk 'NR > 1 { print $2 }' | sort -n`);
  assert.match(out, /^0\b/);
  return out;
}
