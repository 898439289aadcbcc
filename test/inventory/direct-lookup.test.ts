import { describe, expect, test } from '@jest/globals';
import { lookUpDirectly } from '../../src/inventory/direct-lookup.ts';
import { SimulatedHost, SimulatedHypervisor } from '../../src/simulator/index.ts';
import { parseUuid } from '../../src/uuid.ts';
import { uuidOf } from '../support/vms.ts';

const [A, B] = [uuidOf(0xa), uuidOf(0xb)];
/** Half of its handle is zero, as in a handle that is half written. */
const HALF = parseUuid('00000000-0000-0000-0000-000000000001');

describe('a direct look-up', () => {
  test('finds one domain, several, or none', async () => {
    const host = new SimulatedHost();
    const domid = host.createDomain({ uuid: A });
    const shared = [host.createDomain({ uuid: B }), host.createDomain({ uuid: B })];
    const hypervisor = new SimulatedHypervisor(host);
    expect(await lookUpDirectly(hypervisor, [A, B, uuidOf(0xc)])).toMatchObject([
      { status: 'found', domain: { domid } },
      { status: 'ambiguous', domains: shared.map((each) => ({ domid: each })) },
      { status: 'notFound' },
    ]);
  });

  test('finds a domain whose complete UUID has a zero half once, with one look for all UUIDs', async () => {
    const host = new SimulatedHost();
    const domid = host.createDomain({ uuid: HALF });
    const hypervisor = new SimulatedHypervisor(host);
    expect(await lookUpDirectly(hypervisor, [HALF])).toMatchObject([
      { status: 'found', domain: { domid, uuid: HALF } },
    ]);
    const before = hypervisor.counters.domctl;
    await lookUpDirectly(hypervisor, Array<typeof A>(1000).fill(A));
    // dom0 has the nil handle, and this domain a zero half.
    expect(hypervisor.counters.domctl - before).toBe(2);
  });
});
