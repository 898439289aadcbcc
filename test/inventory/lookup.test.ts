import { afterEach, describe, expect, it } from '@jest/globals';
import { Inventory } from '../../src/inventory/inventory.ts';
import { SimulatedHost, SimulatedHypervisor } from '../../src/simulator/index.ts';
import { parseUuid, type Uuid } from '../../src/uuid.ts';
import { ErrorCode } from '../../src/xen-error.ts';

const uuidOf = (n: number): Uuid =>
  parseUuid(`6d4f1a5e-0b7c-4c4e-9d2a-${n.toString(16).padStart(12, '0')}`);

const [A, B, C] = [uuidOf(0xa), uuidOf(0xb), uuidOf(0xc)];

let inventory: Inventory | undefined;
afterEach(() => inventory?.close());

async function open(
  host: SimulatedHost,
): Promise<{ inventory: Inventory; hypervisor: SimulatedHypervisor }> {
  const hypervisor = new SimulatedHypervisor(host);
  inventory = await Inventory.open({ hypervisor, xenstore: false });
  return { inventory, hypervisor };
}

describe('a look-up', () => {
  it('of a known domain costs one hypercall', async () => {
    const host = new SimulatedHost();
    const domid = host.createDomain({ uuid: A });
    const { inventory: asked, hypervisor } = await open(host);
    const before = { ...hypervisor.counters };
    expect(await asked.lookup(A.toUpperCase())).toMatchObject({
      status: 'found',
      domain: { domid, uuid: A },
      source: 'cache',
    });
    expect(hypervisor.counters.domctl - before.domctl).toBe(1);
    expect(hypervisor.counters.sysctl).toBe(before.sysctl);
  });

  it('is counted once, by its result and its source, whatever call made it', async () => {
    const host = new SimulatedHost();
    host.createDomain({ uuid: A });
    const { inventory: asked } = await open(host);
    await asked.lookup(A);
    await asked.lookupMany([A, B]);
    await asked.domid(A);
    asked.resolveKnown(A);
    asked.resolveKnownDomid(A);
    const { lookups, sources } = await asked.stats();
    expect([lookups, sources]).toMatchObject([{ found: 5, notFound: 1 }, { cache: 5 }]);
  });

  it('of a domain that was just created costs two hypercalls and no list', async () => {
    const host = new SimulatedHost();
    host.createDomain({ uuid: A });
    const { inventory: asked, hypervisor } = await open(host);
    const before = { ...hypervisor.counters };
    const domid = host.createDomain({ uuid: B });
    expect(await asked.lookup(B)).toMatchObject({
      status: 'found',
      domain: { domid },
      source: 'next',
    });
    expect(hypervisor.counters.domctl - before.domctl).toBe(1);
    expect(hypervisor.counters.sysctl).toBe(before.sysctl);
  });

  it('of a domain at an unexpected domid takes one list', async () => {
    const host = new SimulatedHost();
    const { inventory: asked, hypervisor } = await open(host);
    const before = { ...hypervisor.counters };
    host.createDomain({ uuid: C, domid: 777 });
    expect(await asked.lookup(C)).toMatchObject({ status: 'found', source: 'list' });
    expect(hypervisor.counters.sysctl - before.sysctl).toBe(1);
  });

  it('of a UUID that no domain has takes one list, each time', async () => {
    const host = new SimulatedHost();
    const { inventory: asked, hypervisor } = await open(host);
    const before = { ...hypervisor.counters };
    expect(await asked.lookup(A)).toEqual({ status: 'notFound' });
    expect(await asked.lookup(A)).toEqual({ status: 'notFound' });
    expect(hypervisor.counters.sysctl - before.sysctl).toBe(2);
  });

  it('shares its list with other look-ups of the same turn', async () => {
    const host = new SimulatedHost();
    const { inventory: asked, hypervisor } = await open(host);
    const before = { ...hypervisor.counters };
    const results = await Promise.all([A, B, C, A].map((uuid) => asked.lookup(uuid)));
    expect(results.map(({ status }) => status)).toEqual(Array(4).fill('notFound'));
    expect(hypervisor.counters.sysctl - before.sysctl).toBe(1);
  });

  it('finds no dying domain', async () => {
    const host = new SimulatedHost();
    const domid = host.createDomain({ uuid: A });
    const { inventory: asked } = await open(host);
    host.hold(domid);
    host.destroy(domid);
    expect(await asked.lookup(A)).toEqual({ status: 'notFound' });
    expect(await asked.get(domid)).toMatchObject({ status: 'found', domain: { dying: true } });
  });

  it('of a UUID with two holders is ambiguous', async () => {
    const host = new SimulatedHost();
    const one = host.createDomain({ uuid: A });
    const two = host.createDomain({ uuid: A });
    const { inventory: asked } = await open(host);
    expect(await asked.lookup(A)).toMatchObject({
      status: 'ambiguous',
      domains: [{ domid: one }, { domid: two }],
    });
  });

  it('made by a change handler is not answered by a look that is older than the question', async () => {
    const host = new SimulatedHost();
    const one = host.createDomain({ uuid: A });
    const two = host.createDomain({ uuid: A });
    const { inventory: asked } = await open(host);
    // The wait looks at both holders. The second look shows the new UUID, and the handler takes the UUID from the first one.
    const waited = asked.waitFor(A, { state: 'running' });
    host.setHandle(two, B);
    const answer = new Promise((resolve) => {
      asked.changes$.subscribe(() => {
        if (host.get(one)?.uuid !== A) return;
        host.setHandle(one, C);
        resolve(asked.lookup(A));
      });
    });
    expect(await answer).toEqual({ status: 'notFound' });
    await asked.close();
    await waited;
  });

  it('sees a rename at once', async () => {
    const host = new SimulatedHost();
    const domid = host.createDomain({ uuid: A });
    const { inventory: asked } = await open(host);
    host.setHandle(domid, B);
    expect(await asked.lookup(A)).toEqual({ status: 'notFound' });
    expect(await asked.lookup(B)).toMatchObject({ status: 'found', domain: { domid, uuid: B } });
  });

  it('is unavailable with the cause where the hypervisor refuses', async () => {
    const host = new SimulatedHost();
    host.createDomain({ uuid: A });
    const { inventory: asked, hypervisor } = await open(host);
    hypervisor.failNext('domctl', 'EINVAL', 100);
    hypervisor.failNext('sysctl', 'EINVAL', 100);
    expect(await asked.lookup(A)).toMatchObject({
      status: 'unavailable',
      cause: ErrorCode.HYPERCALL,
      error: { errno: 'EINVAL' },
    });
    expect(await asked.lookup(B)).toMatchObject({ status: 'unavailable' });
    hypervisor.clearFaults();
    expect(await asked.lookup(A)).toMatchObject({ status: 'found' });
  });

  it('is unavailable after its deadline', async () => {
    const host = new SimulatedHost();
    const { inventory: asked, hypervisor } = await open(host);
    hypervisor.stallLists();
    expect(await asked.lookup(A, { timeoutMs: 20 })).toEqual({
      status: 'unavailable',
      cause: 'timeout',
    });
    hypervisor.resumeLists();
  });
});
