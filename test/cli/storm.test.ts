import { describe, expect, it } from '@jest/globals';
import { main } from '../../src/cli/main.ts';
import type { Cost } from '../../src/storm/contestant.ts';
import { ENTRANTS, stormOfLists } from '../../src/storm/list-storm.ts';
import { BY_1024, BY_2, PagedLists, TO_SHORT_PAGE } from '../../src/storm/paged-lists.ts';
import { uuidOf, type StormFigures } from '../../src/storm/work.ts';
import { XenstoreWalk } from '../../src/storm/xenstore-walk.ts';
import { bootVm, SimulatedHost, SimulatedXenstored } from '../../src/simulator/index.ts';
import { Xenstore } from '../../src/xenstore/xenstore.ts';

const VMS = 60;

/** Sums the cost of one VM after another, with this many domains. */
function sum(cost: (domains: number) => number): number {
  return Array.from({ length: VMS }, (_, vm) => cost(vm + 2)).reduce((a, b) => a + b, 0);
}

async function storm(...argv: string[]): Promise<string> {
  let out = '';
  const io = {
    out: (text: string) => (out += text),
    outputIsTerminal: () => false,
  } as unknown as Parameters<typeof main>[1];
  expect(await main(['storm', ...argv], io)).toBe(0);
  return out;
}

describe('a storm', () => {
  it('has every look-up answered rightly, ours at about one hypercall each', async () => {
    const out = await storm('--vms', String(VMS), '--json');
    const { results } = JSON.parse(out) as { results: StormFigures[] };
    expect(results.map(({ boot, shutdown }) => boot.wrong + shutdown.wrong)).toEqual(
      results.map(() => 0),
    );
    const [ours, by2, by1024, toShortPage, inOneCall, xenstore, xl] = results;
    expect(ours?.boot.hypercalls).toBeGreaterThanOrEqual(VMS * 30);
    expect(ours?.boot.hypercalls).toBeLessThan(VMS * 30 * 1.2);
    // One for each look-up, plus the domains copied by the few lists.
    expect(ours?.boot.domainsCopied).toBeGreaterThanOrEqual(VMS * 30);
    expect(ours?.boot.domainsCopied).toBeLessThan(VMS * 30 * 1.5);
    const pages: [StormFigures | undefined, (domains: number) => number][] = [
      [by2, (domains) => Math.ceil(domains / 2) + 1],
      [by1024, () => 2],
      [toShortPage, () => 1],
      [inOneCall, () => 1],
    ];
    for (const [figures, calls] of pages) {
      expect(figures?.boot.hypercalls).toBe(sum((domains) => 31 * calls(domains)));
      expect(figures?.boot.domainsCopied).toBe(sum((domains) => 31 * domains));
      // Two lists while it is shut down, one when it is gone.
      const going = sum((domains) => 2 * calls(domains) + calls(domains - 1));
      expect(figures?.shutdown.hypercalls).toBe(going);
    }
    // dom0 has no node of its own here; xl asks for its name all the same.
    expect(xenstore?.boot.xenstoreRequests).toBe(sum((domains) => 31 * domains));
    expect(xl?.boot.xenstoreRequests).toBe(sum((domains) => 31 * domains));
  });

  it('prints a table of the boots and one of the shutdowns', async () => {
    const out = await storm('--vms', '5');
    expect(out.match(/^xen-domid +\d/gm)).toHaveLength(2);
    expect(out.split('\n').filter((line) => line.length > 120)).toEqual([]);
  });

  it('measures some of many VMs, and scales that up to about what all cost', async () => {
    const by2 = ENTRANTS.find(({ name }) => name === BY_2.name);
    if (by2 === undefined) throw new Error('it is gone');
    const options = { vms: 400, domids: 'sequential', progress: () => undefined } as const;
    const all = await stormOfLists(by2, options);
    const some = await stormOfLists({ ...by2, work: () => 10_000 }, options);
    expect(all.boot.vmsMeasured).toBe(400);
    expect(some.boot.vmsMeasured).toBe(10);
    expect(some.boot.hypercalls / all.boot.hypercalls).toBeCloseTo(1, 2);
    expect(some.shutdown.domainsCopied / all.shutdown.domainsCopied).toBeCloseTo(1, 2);
  });
});

describe('a walk through xenstore', () => {
  it('takes as many requests as a client of xenstore needs for it', async () => {
    const host = new SimulatedHost({ history: false });
    const xenstored = await SimulatedXenstored.start(host);
    // So many that their names do not fit a message.
    for (let vm = 1; vm <= 2500; vm++) bootVm(host, xenstored, { uuid: uuidOf(vm) });
    const walk = new XenstoreWalk(xenstored);
    const client = await Xenstore.open({ socketPath: xenstored.socketPath });
    try {
      expect(walk.lookUp(uuidOf(2500))).toBe(2500);
      const names = (await client.directory('/local/domain')) ?? [];
      await Promise.all(names.map((name) => client.read(`/local/domain/${name}/vm`)));
      const { DIRECTORY, DIRECTORY_PART, READ } = xenstored.counters.requests;
      expect([DIRECTORY, READ]).toEqual([1, 2500]);
      expect(walk.cost.xenstoreRequests).toBe((DIRECTORY_PART ?? 0) + 1 + 2500);
    } finally {
      await client.close();
      await xenstored.close();
    }
  });
});

describe('a look-up without an inventory', () => {
  const VM = uuidOf(7);

  /** A VM that moves to a lower domid between two calls: there is a domain with its UUID at every moment. */
  function moved(
    make: (host: SimulatedHost) => PagedLists,
    atCall: number,
  ): { domid: number | undefined; cost: Cost } {
    const host = new SimulatedHost({ history: false });
    for (let domid = 10; domid < 20; domid++) host.createDomain({ domid, uuid: uuidOf(domid) });
    host.createDomain({ domid: 25, uuid: VM });
    const contestant = make(host);
    let calls = 0;
    contestant.beforeCall = () => {
      if (calls++ !== atCall) return;
      host.createDomain({ domid: 5, uuid: VM });
      host.destroy(25);
    };
    const domid = contestant.lookUp(VM);
    return { domid, cost: contestant.cost };
  }

  it('in pages misses a VM that moves to a page that has been read', () => {
    expect(moved((host) => new PagedLists(host, BY_2), 0)).toMatchObject({ domid: 5 });
    expect(moved((host) => new PagedLists(host, BY_2), 1)).toMatchObject({
      domid: undefined,
    });
  });

  it('names a domain that is gone, where the VM moves before the empty page is read', () => {
    expect(moved((host) => new PagedLists(host, BY_1024), 1)).toMatchObject({ domid: 25 });
  });

  it('that stops at the short page asks for no empty one', () => {
    const { cost } = moved((host) => new PagedLists(host, TO_SHORT_PAGE), 1);
    expect(cost).toMatchObject({ hypercalls: 1, domainsCopied: 12 });
  });
});
