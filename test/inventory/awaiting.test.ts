/** Domains that wait for their introduction, and for how long the inventory expects it. */
import { expect, test } from '@jest/globals';
import { filter, firstValueFrom } from 'rxjs';
import { Inventory } from '../../src/inventory/inventory.ts';
import {
  SimulatedHost,
  SimulatedHypervisor,
  SimulatedXenstored,
} from '../../src/simulator/index.ts';
import { WatchableXenstore } from '../../src/xenstore/watches.ts';
import { uuidOf } from '../support/vms.ts';
import { until } from '../support/until.ts';

test.each([
  ['is gone', (host: SimulatedHost, domid: number) => host.destroy(domid)],
  [
    'is dying',
    (host: SimulatedHost, domid: number) => {
      host.hold(domid);
      host.destroy(domid);
    },
  ],
])('a domain that %s is not waited for: the next event is about another', async (_, end) => {
  const host = new SimulatedHost();
  const xenstored = await SimulatedXenstored.start(host);
  const hypervisor = new SimulatedHypervisor(host);
  const inventory = await Inventory.open({
    hypervisor,
    xenstore: () => WatchableXenstore.open({ socketPath: xenstored.socketPath }),
  });
  await until(() => inventory.counters.lists.connect > 0);
  await inventory.list();
  const domid = host.createDomain({ uuid: uuidOf(1) });
  expect(await inventory.lookup(uuidOf(1))).toMatchObject({ status: 'found', source: 'next' });
  end(host, domid);
  await inventory.get(domid);

  const told = firstValueFrom(inventory.changes$.pipe(filter(({ uuid }) => uuid === uuidOf(2))));
  host.introduce(host.createDomain({ uuid: uuidOf(2), domid: 20_000 }));
  await told;
  expect(inventory.counters).toMatchObject({ eventsOnCredit: 0 });
  await inventory.close();
  await hypervisor.close();
  await xenstored.close();
});
