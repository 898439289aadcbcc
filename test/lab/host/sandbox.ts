/** Attempts to leave the sandbox of a unit. */
import assert from 'node:assert/strict';

import type { Checks } from './checks.ts';
import type { Host } from './host.ts';

/** The attempts of `payload/probe.sh` that the program of a unit needs, or that are harmless. */
const ALLOWED = {
  'xen-domid.service': ['write-own-folder', 'write-tmp', 'privcmd', 'loopback'],
  'xen-domid-pool.service': ['write-tmp', 'loopback'],
} as const;
type Confined = keyof typeof ALLOWED;

/** Settings of xen-domid.service that a systemd before 254 reports as unknown. */
export const NEWER_SETTINGS: RegExp = /RestartSteps|RestartMaxDelaySec/;

/** Runs `payload/probe.sh` in place of the program of `confined`, and returns its lines. */
async function probe(host: Host, confined: Confined): Promise<string[]> {
  await host.ok(`
    mkdir -p /home/lab
    ip address add 192.0.2.1/32 dev lo 2>/dev/null
    # A packet that is dropped is repeated once: two minutes otherwise.
    sysctl --quiet net.ipv4.tcp_syn_retries=1
    for address in 127.0.0.1 192.0.2.1; do
      socat TCP-LISTEN:8000,bind=$address,reuseaddr,fork OPEN:/dev/null >/dev/null 2>&1 &
    done
    unit=$(property FragmentPath ${confined})
    cp -r /etc/systemd/system/${confined}.d /run/systemd/system/lab-probe.service.d 2>/dev/null
    sed -e '/^Type=/d' -e 's,^ExecStart=.*,Type=oneshot\\nExecStart=/bin/bash /srv/probe.sh,' -e 's/^SyslogIdentifier=.*/SyslogIdentifier=lab-probe/' \\
      -e 's/^RuntimeDirectory=.*/&\\nRuntimeDirectoryPreserve=yes/' -e '/^Restart/d' -e '/^WatchdogSec/d' -e '/^Also=/d' -e '/^Wants=/d' "$unit" >/run/systemd/system/lab-probe.service
    systemctl daemon-reload
    until_ok 300 socat -u OPEN:/dev/null TCP:192.0.2.1:8000`);
  // The attempts are sound only where they would succeed without the sandbox.
  await host.expect(
    'systemd-run --quiet --wait true && udevadm control --reload && unshare --mount true && echo possible',
    'possible',
  );
  await host.say('systemctl start lab-probe.service');
  const out = await host.ok(
    'journalctl -b -t lab-probe -o cat --no-pager; pkill -f TCP-LISTEN:8000',
  );
  return out.split('\n');
}

/** @param exposure the last line of `systemd-analyze security`. */
export async function checkSandbox(
  host: Host,
  { check }: Pick<Checks, 'check'>,
  confined: Confined,
  exposure: RegExp,
): Promise<void> {
  let lines: string[] = [];
  await check('sandbox: only what its program needs is possible', async () => {
    lines = await probe(host, confined);
    const attempts = lines.filter((line) => /: (done|refused)$/.test(line));
    assert.ok(attempts.length > 30, `few attempts:\n${lines.join('\n')}`);
    const done = attempts.filter((line) => line.endsWith(': done'));
    assert.deepEqual(
      done.map((line) => line.replace(': done', '')),
      ALLOWED[confined],
    );
  });
  await check('sandbox: nothing of the attempts is left on the host', async () => {
    await host.expect('find / -xdev -name "lab-escape*"; find /run /dev -name "lab-escape*"', '');
  });
  await check(
    'sandbox: the process itself has no capability, no new privileges and a filter of system calls',
    async () => {
      await host.expect(
        `sed -nE 's/^(CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):\\s*/\\1 /p' /proc/$(property MainPID ${confined})/status`,
        [
          'CapPrm 0000000000000000',
          'CapEff 0000000000000000',
          'CapBnd 0000000000000000',
          'CapAmb 0000000000000000',
          'NoNewPrivs 1',
          'Seccomp 2',
        ].join('\n'),
      );
    },
  );
  await check('systemd-analyze: little exposed', async () => {
    await host.expect(`systemd-analyze security --no-pager ${confined} | tail -n 1`, exposure);
  });
}

/**
 * That systemd finds no fault in `units`.
 * @param unknown settings that this systemd does not know, and reports.
 */
export async function checkUnits(
  host: Host,
  { check }: Pick<Checks, 'check'>,
  units: string,
  unknown?: RegExp,
): Promise<void> {
  await check(`systemd-analyze: no fault in ${units}`, async () => {
    const verified = await host.ok(`systemd-analyze verify ${units} 2>&1 | grep xen-domid || true`);
    const strange = verified.split('\n').filter((line) => line !== '' && !unknown?.test(line));
    assert.deepEqual(strange, []);
  });
}
