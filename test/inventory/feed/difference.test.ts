import { describe, expect, test } from '@jest/globals';
import type { Domain } from '../../../src/domain.ts';
import { changesBetween, type Sight } from '../../../src/inventory/feed/difference.ts';
import { Inventory } from '../../../src/inventory/inventory.ts';
import { SimulatedHost, SimulatedHypervisor, tombstoneOf } from '../../../src/simulator/index.ts';
import { until } from '../../support/until.ts';
import { uuidOf } from '../../support/vms.ts';
import { madeUpDomain } from '../../support/made-up-domain.ts';

const [A, B] = [uuidOf(0xa), uuidOf(0xb)];

function domain(fields: Partial<Domain> = {}): Domain {
  return madeUpDomain(5, { uuid: A, ...fields });
}

function told(known: Domain | undefined, seen: Domain, same: boolean): unknown[] {
  const sight: Sight = { domain: seen, nil: false, tombstone: false, same };
  return changesBetween(known, sight).map(({ kind, uuid }) => [kind, uuid]);
}

describe('between two looks at a domid', () => {
  test('a new UUID is a rename of the same domain, or another domain in its place', () => {
    expect(told(domain(), domain({ uuid: B }), true)).toEqual([['renamed', B]]);
    expect(told(domain(), domain({ uuid: B }), false)).toEqual([
      ['destroyed', A],
      ['created', B],
    ]);
  });

  test('the same domain was renamed and is dying', () => {
    expect(told(domain(), domain({ uuid: B, dying: true }), true)).toEqual([
      ['renamed', B],
      ['dying', B],
    ]);
  });

  test.each([
    ['was alive', domain()],
    ['was dying', domain({ dying: true })],
  ])(
    'another domain was first seen dying: only the end of the previous one, which %s, is published',
    (_, known) => {
      expect(told(known, domain({ uuid: B, dying: true }), false)).toEqual([['destroyed', A]]);
    },
  );

  test('a domain that had shut down, and runs and is dying now, was resumed unless it is another', () => {
    const [known, dying] = [
      domain({ shutdown: true, shutdownReason: 'suspend' }),
      domain({ dying: true }),
    ];
    expect(told(known, dying, true)).toEqual([
      ['resumed', A],
      ['dying', A],
    ]);
    expect(told(known, dying, false)).toEqual([['destroyed', A]]);
  });

  test('a dying domain with another UUID is another one, also if its CPU time does not show it', () => {
    const [known, seen] = [domain({ dying: true }), domain({ uuid: B, dying: true })];
    expect(told(known, seen, true)).toEqual([['destroyed', A]]);
  });

  test('a domain that stays dying has no change', () => {
    expect(told(domain({ dying: true }), domain({ dying: true }), true)).toEqual([]);
  });

  test.each([
    ['was alive', domain({ uniqueId: '1' })],
    ['was dying', domain({ uniqueId: '1', dying: true })],
  ])('by its unique id a dying one is another: the one before, which %s, is gone', (_, known) => {
    const dying = domain({ dying: true, uniqueId: '2' });
    expect(told(known, dying, false)).toEqual([['destroyed', A]]);
  });
});

test('a domain with another unique id is another one, also where both have shut down', () => {
  const known = domain({ uniqueId: '1', shutdown: true, shutdownReason: 'poweroff' });
  const seen = domain({ uniqueId: '2', shutdown: true, shutdownReason: 'reboot' });
  expect(told(known, seen, true)).toEqual([
    ['destroyed', A],
    ['created', A],
  ]);
});

test('a domain whose domid has another domain with a tombstone is destroyed, not dying', async () => {
  const host = new SimulatedHost({ release: '4.22' });
  const domid = host.createDomain({ uuid: A });
  const hypervisor = new SimulatedHypervisor(host);
  await using inventory = await Inventory.open({ hypervisor, xenstore: false });
  await until(async () => (await inventory.list()).domains[1]?.uniqueId !== undefined);
  const kinds: string[] = [];
  inventory.changes$.subscribe(({ kind }) => kinds.push(kind));
  host.destroy(domid);
  host.createDomain({ uuid: A, domid });
  host.setHandle(domid, tombstoneOf(domid));
  await inventory.get(domid);
  expect(kinds).toEqual(['destroyed']);
});

test.each([
  ['4.20', 'renamed', ['renamed']],
  ['4.22', 'renamed', ['renamed']],
  ['4.22', 'replaced', ['destroyed', 'created']],
] as const)('on Xen %s a domain %s unseen is published as %j', async (release, what, kinds) => {
  const host = new SimulatedHost({ release });
  const domid = host.createDomain({ uuid: A });
  const inventory = await Inventory.open({
    hypervisor: new SimulatedHypervisor(host),
    xenstore: false,
  });
  try {
    await inventory.list();
    const seen: string[] = [];
    const following = inventory.changes$.subscribe(({ kind }) => seen.push(kind));
    if (what === 'renamed') {
      host.setHandle(domid, B);
    } else {
      host.destroy(domid);
      host.createDomain({ uuid: B, domid });
    }
    await inventory.list();
    following.unsubscribe();
    expect(seen).toEqual(kinds);
  } finally {
    await inventory.close();
  }
});
