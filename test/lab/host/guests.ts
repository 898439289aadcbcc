/** VMs that Debian's own `xl` makes, destroys and restarts, and what the service says of them. */
import assert from 'node:assert/strict';

import type { Checks } from './checks.ts';
import type { Host } from './host.ts';

interface WatchedChange {
  readonly kind: string;
  readonly domid: number;
  readonly uuid: string;
}

/** The changes that `xen-domid watch --json` has written to `file`. */
export async function watched(host: Host, file: string): Promise<WatchedChange[]> {
  const out = await host.ok(`cat ${file}`);
  return out
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Partial<WatchedChange>)
    .filter((line): line is WatchedChange => line.kind !== undefined && line.domid !== undefined);
}

export async function checkGuests(host: Host, { check }: Pick<Checks, 'check'>): Promise<void> {
  const domids: number[] = [];
  const uuids: string[] = [];
  await check('three VMs are found as soon as xl create returns', async () => {
    await host.ok(
      'setsid xen-domid watch --json >/srv/watch.json 2>&1 & until_ok 900 test -s /srv/watch.json',
    );
    for (const number of [1, 2, 3]) {
      const uuid = (await host.ok(`uuid ${number}`)).trim();
      await host.ok(`guest ${number}`);
      const domid = Number(await host.ok(`xl domid guest-${number}`));
      uuids.push(uuid);
      domids.push(domid);
      await host.expect(
        `ask domid '{"uuid":"${uuid}"}'`,
        new RegExp(`"status":"found","domid":${domid}}`),
      );
    }
    await host.expect(`xen-domid lookup ${uuids[0]}`, String(domids[0]));
  });
  await check('a destroyed VM is found no more, exit status 1', async () => {
    await host.ok('xl destroy guest-2');
    const { status } = await host.say(`xen-domid lookup ${uuids[1]}`);
    assert.equal(status, 1);
  });
  await check('a VM that reboots is found under its new domid', async () => {
    await host.ok(`node /srv/reboot-guest.mjs ${domids[0]}`);
    await host.ok(`until_ok 900 sh -c 'd=$(xl domid guest-1) && [ "$d" != ${domids[0]} ]'`);
    const domid = Number(await host.ok('xl domid guest-1'));
    assert.notEqual(domid, domids[0]);
    domids.push(domid);
    await host.expect(
      `ask domid '{"uuid":"${uuids[0]}"}'`,
      new RegExp(`"status":"found","domid":${domid}}`),
    );
  });
  await check('watch reports all of it in order', async () => {
    const [one, two, three, again] = domids as [number, number, number, number];
    const names = ['one', 'two', 'three'];
    const told = (await watched(host, '/srv/watch.json')).map(
      ({ kind, domid, uuid }) => `${kind} ${domid} ${names[uuids.indexOf(uuid)]}`,
    );
    // Whether a dying domain is seen before it is gone depends on how quick the toolstack is.
    assert.deepEqual(
      told.filter((line) => !line.startsWith('dying ')),
      [
        `created ${one} one`,
        `created ${two} two`,
        `created ${three} three`,
        `destroyed ${two} two`,
        `shutdown ${one} one`,
        `destroyed ${one} one`,
        `created ${again} one`,
      ],
    );
  });
}

/** Ends what {@link checkGuests} left running: Debian would save VMs when it shuts down. */
export async function endGuests(host: Host): Promise<void> {
  await host.say('pkill -f "xen-domid.* watch"; xl destroy guest-1; xl destroy guest-3');
}
