/** Settings of the unit that an administrator may change, each changed by a drop-in. */
import type { Checks } from './checks.ts';
import type { Host } from './host.ts';

/** A `/dev/xen` without `hypercall`, as in a container that was not given it. */
const WITHOUT_HYPERCALL = 'TemporaryFileSystem=/dev/xen BindPaths=/dev/xen/privcmd';
/** An address of this host that is not the loopback's. */
const ADDRESS = '192.0.2.1';
const METRICS = `http://${ADDRESS}:9790/healthz`;

/** The lines of a drop-in that start the service with other flags. */
export const serve = (flags: string): string =>
  `ExecStart= "ExecStart=$(command -v xen-domid) serve ${flags}"`;

/** Starts the service anew, with a drop-in of `lines`. */
const restart = (lines: string): string =>
  `drop_in ${lines}; systemctl reset-failed xen-domid.service; systemctl restart xen-domid.service`;

export async function checkDropIns(host: Host, { check }: Pick<Checks, 'check'>): Promise<void> {
  await check(
    'without /dev/xen/hypercall, and with PrivateNetwork=yes: it answers, for the unit allows it to lock memory',
    async () => {
      await host.expect(
        `${restart(`${WITHOUT_HYPERCALL} PrivateNetwork=yes`)}
         nsenter --target $(property MainPID) --mount ls /dev/xen; grep -c "Max locked memory *16777216" /proc/$(property MainPID)/limits; ask list "" 300 | grep -o '"domid":0,'`,
        'privcmd\n1\n"domid":0,',
      );
    },
  );
  await check(
    'with a LimitMEMLOCK= of 64 KiB it ends at once there, and the journal says why',
    async () => {
      await host.expect(
        `${restart(`${WITHOUT_HYPERCALL} LimitMEMLOCK=64K`)} 2>/dev/null; systemctl stop xen-domid.service; journal | tail -n 3`,
        /without \/dev\/xen\/hypercall they must be locked, so raise the limit .*LimitMEMLOCK=/,
      );
    },
  );
  await check(
    '--metrics on an address of the network: out of reach, until IPAddressAllow= names the address',
    async () => {
      const metrics = serve(`--metrics ${ADDRESS}:9790`);
      const ask = `curl --silent --output /dev/null --write-out '%{http_code}\\n' --max-time`;
      await host.expect(
        `ip address add ${ADDRESS}/32 dev lo 2>/dev/null
         ${restart(metrics)}; ${ask} 20 ${METRICS}
         ${restart(`${metrics} IPAddressAllow=${ADDRESS}`)}; ${ask} 300 ${METRICS}
         ${restart('')}`,
        '000\n200',
      );
    },
  );
}
