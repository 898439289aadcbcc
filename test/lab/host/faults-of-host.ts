/** Faults of a host: programs that are killed, hang, are missing or are restarted. */
import type { Checks } from './checks.ts';
import type { Host } from './host.ts';

export async function checkFaults(host: Host, { check }: Pick<Checks, 'check'>): Promise<void> {
  await check(
    'kill -9: a caller that connects meanwhile is answered by the next process',
    async () => {
      await host.expect(
        'old=$(property MainPID); kill -9 $old; ask domid "{\\"uuid\\":\\"$(uuid 3)\\"}" 600; until_ok 300 systemctl is-active xen-domid.service; [ $old != $(property MainPID) ] && property NRestarts',
        /"status":"found","domid":\d+}}\n1$/,
      );
    },
  );
  await check(
    'SIGSTOP: the watchdog ends it, and callers are answered by the next process',
    async () => {
      await host.expect(
        'old=$(property MainPID); kill -STOP $old; ask domid "{\\"uuid\\":\\"$(uuid 3)\\"}" 1; until_ok 300 sh -c ". /srv/lab.sh; [ \\$(property MainPID) != $old ] && systemctl is-active xen-domid.service"; ask domid "{\\"uuid\\":\\"$(uuid 3)\\"}" 600; journalctl -b -o cat -u xen-domid.service | grep -c "Watchdog timeout"',
        /"status":"found","domid":\d+}}\n1$/,
      );
    },
  );
  await check('SIGUSR1, SIGUSR2, SIGALRM, SIGIO and SIGHUP change nothing', async () => {
    await host.expect(
      'pid=$(property MainPID); for signal in USR1 USR2 ALRM IO HUP; do kill -$signal $pid; done; sleep 1; ask version | grep -o \'"protocol":[0-9]*\'; ss -tlnpH | grep -c pid=$pid; [ $pid = $(property MainPID) ] && echo same',
      /^"protocol":\d+\n0\nsame$/,
    );
  });
  await check(
    'a program that is missing for a minute: the socket stays, and callers are answered once it is back',
    async () => {
      await host.expect(
        `program=$(command -v xen-domid); mv $program $program.away; kill -9 $(property MainPID); ask version "" 600 >/srv/waiting.json &
       caller=$!; sleep 60; systemctl is-active xen-domid.socket; mv $program.away $program; wait $caller; grep -o '"protocol"' /srv/waiting.json; systemctl is-active xen-domid.service`,
        'active\n"protocol"\nactive',
      );
    },
  );
}

/** xenstored killed and started again: in dom0 it is known again, and so are later changes. */
export async function checkXenstored(host: Host, { check }: Pick<Checks, 'check'>): Promise<void> {
  await check(
    'xenstored killed: look-ups go on; once it is back, changes are reported at once',
    async () => {
      await host.ok(`
      pkill -9 -x xenstored || pkill -9 -x oxenstored
      until_ok 300 sh -c '. /srv/lab.sh; page /healthz | grep -q "\\"xenstore\\":false"'
      ask domid "{\\"uuid\\":\\"$(uuid 3)\\"}" | grep '"found"'
      rm -f /run/xenstored.pid /run/xen/xenstored.pid
      systemctl restart xen || systemctl restart xenstored
      until_ok 300 sh -c '. /srv/lab.sh; page /healthz | grep -q "\\"xenstore\\":true"'`);
    },
  );
}
