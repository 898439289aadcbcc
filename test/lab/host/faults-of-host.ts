/** Faults of a host: programs that are killed, hang, are missing or are restarted. */
import type { Checks } from './checks.ts';
import type { Host } from './host.ts';

/** A look-up of VM 3, answered by whichever process answers. */
const ASK = `ask domid "{\\"uuid\\":\\"$(uuid 3)\\"}"`;
const ANOTHER_PROCESS = `until_ok 900 sh -c '. /srv/lab.sh; [ $(property MainPID) != '$old' ] && systemctl is-active xen-domid.service'`;

export async function checkKilled(host: Host, { check }: Pick<Checks, 'check'>): Promise<void> {
  await check(
    'kill -9: a caller that connects meanwhile is answered by the next process',
    async () => {
      await host.expect(
        `old=$(property MainPID); kill -9 $old; ${ASK} 3000; ${ANOTHER_PROCESS}; property NRestarts`,
        /"status":"found","domid":\d+}}\n1$/,
      );
    },
  );
}

export async function checkFaults(host: Host, { check }: Pick<Checks, 'check'>): Promise<void> {
  await check(
    'SIGSTOP: the watchdog ends it, and callers are answered by the next process',
    async () => {
      await host.expect(
        `old=$(property MainPID); kill -STOP $old; ${ASK} 3000; ${ANOTHER_PROCESS}; journalctl -b -o cat -u xen-domid.service | grep -c "Watchdog timeout"`,
        /"status":"found","domid":\d+}}\n1$/,
      );
    },
  );
  await check('SIGUSR1, SIGUSR2, SIGALRM, SIGIO and SIGHUP change nothing', async () => {
    await host.expect(
      'pid=$(property MainPID); for signal in USR1 USR2 ALRM IO HUP; do kill -$signal $pid; done; sleep 1; ask version "" 300 | grep -o \'"protocol":[0-9]*\'; ss -tlnpH | grep -c pid=$pid; [ $pid = $(property MainPID) ] && echo same',
      /^"protocol":\d+\n0\nsame$/,
    );
  });
  await check(
    'a program that is missing for a minute: the socket stays, and callers are answered once it is back',
    async () => {
      await host.expect(
        `program=$(command -v xen-domid); mv $program $program.away; kill -9 $(property MainPID); ask version "" 900 >/srv/waiting.json &
       caller=$!; sleep 60; systemctl is-active xen-domid.socket; mv $program.away $program; wait $caller; grep -o '"protocol"' /srv/waiting.json; systemctl is-active xen-domid.service`,
        'active\n"protocol"\nactive',
      );
    },
  );
}

/** Lines of the journal about xenstore, since the last start of the service. */
const XENSTORE_LINES = "journal | tac | sed '/^listening on/q' | tac | grep xenstore";
const PROCESS = '$(pidof -s xenstored oxenstored)';

/** The service while xenstored hangs, is dead, and is back. */
export async function checkXenstored(host: Host, { check }: Pick<Checks, 'check'>): Promise<void> {
  await check(
    'a xenstored that answers nothing is noticed, and so is that it answers again',
    async () => {
      await host.ok(`kill -STOP ${PROCESS}; until_health 900 xenstore false`);
      await host.expect(
        `${ASK} 300; kill -CONT ${PROCESS}; until_health 900 xenstore true`,
        /"found"/,
      );
      await host.expect(
        XENSTORE_LINES,
        /^no xenstore, .* does not answer\nxenstore is back, changes are reported at once$/,
      );
    },
  );
  await check('xenstored killed: look-ups go on, and the journal has the reason', async () => {
    await host.ok(`kill -9 ${PROCESS}; until_health 900 xenstore false`);
    await host.expect(`${ASK} 300`, /"found"/);
    await host.ok(`until_ok 900 sh -c '. /srv/lab.sh; journal | grep "xenstored has died"'`);
    await host.expect('page /metrics', /^xen_domid_xenstore_connected 0$/m);
  });
  await check('without xenstored the service starts, and look-ups are correct', async () => {
    await host.ok('systemctl restart xen-domid.service');
    await host.expect(`${ASK} 300`, /"found"/);
  });
  await check('xenstored started again: the service is connected, and says so', async () => {
    await host.ok(
      'rm -f /run/xenstored.pid /run/xen/xenstored.pid; systemctl restart xen || systemctl restart xenstored',
    );
    await host.ok('until_health 900 xenstore true');
    await host.expect(XENSTORE_LINES, /xenstore is back, changes are reported at once$/);
    await host.expect('page /metrics', /^xen_domid_xenstore_connected 1$/m);
  });
}
