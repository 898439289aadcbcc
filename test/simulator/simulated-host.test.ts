import { describe, expect, test } from '@jest/globals';
import { DOMID_FIRST_RESERVED } from '../../src/domain.ts';
import {
  NIL_UUID,
  SimulatedHost,
  SimulatedHypervisor,
  type HostOptions,
} from '../../src/simulator/index.ts';
import { parseUuid } from '../../src/uuid.ts';
import { RELEASES, domidsOf, errnoOf, listAll, torn, uuidOf } from '../support/vms.ts';

function open(options: HostOptions = {}): { host: SimulatedHost; xen: SimulatedHypervisor } {
  const host = new SimulatedHost(options);
  return { host, xen: new SimulatedHypervisor(host) };
}

/** The flags of a domain's record, as Xen would have it. */
function flagsOf(xen: SimulatedHypervisor, domid: number): string {
  return `0x${((xen.getDomainInfo(domid)?.flags ?? 0) >>> 0).toString(16)}`;
}

/** 2000 random domids. */
function draw(seed: number): number[] {
  const { host } = open({ domids: 'random', seed });
  return Array.from({ length: 2000 }, () => host.createDomain());
}

function heard(run: (host: SimulatedHost) => void): string[] {
  const host = new SimulatedHost();
  const said: string[] = [];
  host.listen({
    introduced: (domid) => said.push(`introduced ${domid}`),
    domainException: (domid) => said.push(`exception ${domid}`),
  });
  run(host);
  return said;
}

describe('domids', () => {
  test('the first domain of a host is 1, domain 0 is there from the start with an all-zero handle', async () => {
    const { host, xen } = open();
    expect(host.createDomain()).toBe(1);
    expect(domidsOf(await listAll(xen))).toEqual([0, 1]);
    expect(xen.getDomainInfo(0)?.uuid).toBe(NIL_UUID);
  });

  test('domain 0 has the handle that xen-init-dom0 was given', () => {
    expect(open({ dom0Uuid: uuidOf(7) }).xen.getDomainInfo(0)?.uuid).toBe(uuidOf(7));
  });

  test('they go up by one, and one that is free again is not handed out before the wrap', () => {
    const { host } = open();
    host.destroy(host.createDomain());
    expect(host.createDomain()).toBe(2);
  });

  test('after 32,751 comes 1, and busy ones are skipped', () => {
    const { host } = open({ rover: DOMID_FIRST_RESERVED - 2 });
    host.createDomain({ domid: 1 });
    host.createDomain({ domid: 3 });
    expect([host.createDomain(), host.createDomain(), host.createDomain()]).toEqual([32_751, 2, 4]);
    expect(open({ rover: DOMID_FIRST_RESERVED - 1 }).host.createDomain()).toBe(1);
  });

  test('one named by the toolstack is taken if free (EEXIST else), and does not move the rover', () => {
    const { host } = open();
    expect(host.createDomain({ domid: 500 })).toBe(500);
    expect(errnoOf(() => host.createDomain({ domid: 500 }))).toBe('EEXIST');
    expect(host.createDomain()).toBe(1);
  });

  test('random ones are the same for the same seed, and never busy', () => {
    expect(draw(5)).toEqual(draw(5));
    expect(draw(5)).not.toEqual(draw(6));
    expect(new Set(draw(5)).size).toBe(2000);
  });

  test('a host that is full says ENOMEM, and hands out the one that comes free', async () => {
    for (const domids of ['sequential', 'random'] as const) {
      const { host, xen } = open({ domids, history: false });
      while (host.size < DOMID_FIRST_RESERVED) host.createDomain();
      expect(errnoOf(() => host.createDomain())).toBe('ENOMEM');
      expect(await xen.listDomains((list) => list.length)).toBe(DOMID_FIRST_RESERVED);
      host.destroy(12_345);
      expect(host.createDomain()).toBe(12_345);
    }
  });
});

describe.each(RELEASES)('creation on %s', (release) => {
  test('a new domain is paused, without vCPUs, and its flags have 0xffff in the high half', () => {
    const { host, xen } = open({ release });
    const domid = host.createDomain({ uuid: uuidOf(1), hvm: false });
    expect(flagsOf(xen, domid)).toBe('0xffff0008');
    expect(xen.getDomainInfo(domid)?.toDomain()).toMatchObject({
      vcpus: 0,
      memoryBytes: 4096,
      uuid: uuidOf(1),
    });
  });

  test('a record is that of the release, byte for byte', () => {
    const { host } = open({ release });
    const uuid = parseUuid('00112233-4455-6677-8899-aabbccddeeff');
    const domid = host.createDomain({ uuid, hvm: false, ssidref: 3, cpupool: 2 });
    const { recordBytes } = host.profile;
    const record = new Int32Array(recordBytes >> 2);
    host.copyRecord(domid, record, 0);
    const want = [
      '01000000 0800ffff 0100000000000000 0000000000000000 0000000000000000 0000000000000000',
      '0000000000000000 0000000000000000 0000000000000000 00000000 ffffffff 03000000',
      '00112233445566778899aabbccddeeff 02000000',
    ];
    expect(Buffer.from(record.buffer).toString('hex')).toBe(
      want
        .join('')
        .replaceAll(' ', '')
        .padEnd(2 * recordBytes, '0'),
    );
  });

  test('nothing of a domain is left in the record of the next with its domid', () => {
    const { host, xen } = open({ release });
    const domid = host.createDomain({ uuid: uuidOf(1), vcpus: 2 });
    const fresh = xen.getDomainInfo(domid)?.toDomain();
    host.unpause(domid);
    host.createDomain();
    host.shutdown(domid, 3);
    host.destroy(domid);
    host.createDomain({ domid, uuid: uuidOf(1) });
    expect(xen.getDomainInfo(domid)?.toDomain()).toEqual(fresh);
  });

  test('an HVM domain says so, and that it has HAP', () => {
    const { host, xen } = open({ release });
    expect(flagsOf(xen, host.createDomain())).toBe('0xffff010a');
  });

  test('what was asked for is in the record', () => {
    const { host, xen } = open({ release });
    const domid = host.createDomain({ vcpus: 4, memoryPages: 1000, ssidref: 3, cpupool: 2 });
    host.build(domid);
    expect(xen.getDomainInfo(domid)?.toDomain()).toMatchObject({
      vcpus: 4,
      memoryBytes: 4_096_000,
      maxMemoryBytes: 4_096_000,
      ssidref: 3,
      cpupool: 2,
    });
  });

  const late = release !== '4.22';
  test(`lists show a new domain ${late ? 'with a zero handle, then half of it' : 'with its whole handle at once'}`, async () => {
    const { host, xen } = open({ release });
    const write = host.beginCreate({ uuid: uuidOf(1) });
    expect(write.done).toBe(!late);
    const seen = [(await listAll(xen))[1]?.uuid];
    write.step();
    seen.push((await listAll(xen))[1]?.uuid);
    expect(write.step()).toBe(true);
    seen.push((await listAll(xen))[1]?.uuid);
    const whole = uuidOf(1);
    expect(seen).toEqual(late ? [NIL_UUID, torn(NIL_UUID, whole), whole] : [whole, whole, whole]);
  });

  test('a single look never shows a handle half written', () => {
    const { host, xen } = open({ release });
    const { domid } = host.beginCreate({ uuid: uuidOf(1) });
    expect(xen.getDomainInfo(domid)?.uuid).toBe(uuidOf(1));
    host.beginSetHandle(domid, uuidOf(2));
    expect(xen.getDomainInfo(domid)?.uuid).toBe(uuidOf(2));
  });

  test('lists show a handle torn while it is set anew', async () => {
    const { host, xen } = open({ release });
    const write = host.beginSetHandle(host.createDomain({ uuid: uuidOf(1) }), uuidOf(2));
    expect((await listAll(xen))[1]?.uuid).toBe(torn(uuidOf(1), uuidOf(2)));
    write.finish();
    expect((await listAll(xen))[1]?.uuid).toBe(uuidOf(2));
  });

  test('a write that is overtaken by another, or by the end of the domain, writes nothing more', async () => {
    const { host, xen } = open({ release });
    const first = host.beginCreate({ uuid: uuidOf(1) });
    host.setHandle(first.domid, uuidOf(2));
    expect(first.done).toBe(true);
    first.step();
    expect((await listAll(xen))[1]?.uuid).toBe(uuidOf(2));
    const second = host.beginSetHandle(first.domid, uuidOf(3));
    host.destroy(first.domid);
    second.finish();
    expect(domidsOf(await listAll(xen))).toEqual([0]);
  });
});

describe('a life', () => {
  test('CPU time grows with the steps of the host while a domain runs, and only then', () => {
    const { host, xen } = open();
    const domid = host.createDomain();
    const cpuTime = (): number => xen.getDomainInfo(domid)?.cpuTimeNs ?? 0;
    host.introduce(domid);
    expect(cpuTime()).toBe(0);
    host.unpause(domid);
    host.createDomain();
    const running = cpuTime();
    expect(running).toBeGreaterThan(0);
    host.pause(domid);
    const paused = cpuTime();
    expect(paused).toBeGreaterThan(running);
    host.createDomain();
    expect(cpuTime()).toBe(paused);
    host.unpause(domid);
    host.shutdown(domid, 0);
    const shutDown = cpuTime();
    host.createDomain();
    expect(cpuTime()).toBe(shutDown);
  });

  test('CPU time goes on beyond 32 bits, and where it had stopped', () => {
    const { host, xen } = open({ history: false });
    const domid = host.createDomain();
    host.unpause(domid);
    const began = host.now;
    // 1000 ns a step: 2^32 ns are 4,294,968 steps.
    while (host.now < began + 4_300_000) host.hold(domid);
    expect(xen.getDomainInfo(domid)?.cpuTimeNs).toBe(4_300_000_000);
    host.pause(domid);
    host.unpause(domid);
    host.hold(domid);
    expect(xen.getDomainInfo(domid)?.cpuTimeNs).toBe(4_300_002_000);
  });

  test('a running domain is blocked or running, never paused', () => {
    const { host, xen } = open();
    const domid = host.createDomain({ hvm: false });
    host.unpause(domid);
    const seen = new Set<string>();
    for (let step = 0; step < 8; step++) {
      host.createDomain();
      seen.add(flagsOf(xen, domid));
    }
    expect([...seen].toSorted()).toEqual(['0xffff0010', '0xffff0020']);
  });

  test('shutdown keeps the domain, with the first code it was given; resume takes both back', () => {
    const { host, xen } = open();
    const domid = host.createDomain({ hvm: false });
    host.unpause(domid);
    host.shutdown(domid, 3);
    host.shutdown(domid, 1);
    expect(flagsOf(xen, domid)).toBe('0x30004');
    expect(xen.getDomainInfo(domid)?.toDomain().shutdownReason).toBe('crash');
    expect([...host.shutDownDomids]).toEqual([domid]);
    host.resume(domid);
    expect(xen.getDomainInfo(domid)?.toDomain().shutdown).toBe(false);
    expect([...host.shutDownDomids]).toEqual([]);
    host.shutdown(domid, 0);
    host.destroy(domid);
    expect([...host.shutDownDomids]).toEqual([]);
  });

  test('suspend is shutdown code 2', () => {
    const { host, xen } = open();
    const domid = host.createDomain({ hvm: false });
    host.unpause(domid);
    host.suspend(domid, { silent: true });
    expect(flagsOf(xen, domid)).toBe('0x20004');
  });

  test('teardown does not show but as a pause; dead shows as dying; then the domain is gone', () => {
    const { host, xen } = open();
    const domid = host.createDomain({ hvm: false, uuid: uuidOf(1) });
    host.unpause(domid);
    host.beginTeardown(domid);
    expect(flagsOf(xen, domid)).toBe('0xffff0008');
    host.die(domid);
    expect(flagsOf(xen, domid)).toBe('0xffff0009');
    expect(host.reap(domid)).toBe(true);
    expect(xen.getDomainInfo(domid)).toBeUndefined();
    expect(host.get(domid)).toBeUndefined();
  });

  test('a dead domain that is held stays as a zombie, with its handle, until the last one lets go', () => {
    const { host, xen } = open();
    const domid = host.createDomain({ uuid: uuidOf(1) });
    host.hold(domid);
    host.hold(domid);
    host.destroy(domid);
    expect(xen.getDomainInfo(domid)?.toDomain()).toMatchObject({ dying: true, uuid: uuidOf(1) });
    expect(host.release(domid)).toBe(false);
    expect(host.release(domid)).toBe(true);
    expect(xen.getDomainInfo(domid)).toBeUndefined();
  });

  test('who dies is there until its own reference is dropped, held or not', () => {
    const { host, xen } = open();
    const domid = host.createDomain();
    host.die(domid);
    host.hold(domid);
    expect(host.release(domid)).toBe(false);
    expect(xen.getDomainInfo(domid)?.dying).toBe(true);
    expect(host.reap(domid)).toBe(true);
  });

  test('letting go of a live domain does not end it', () => {
    const { host } = open();
    const domid = host.createDomain();
    host.hold(domid);
    expect(host.release(domid)).toBe(false);
    expect(host.get(domid)?.stage).toBe('live');
    expect(errnoOf(() => host.release(domid))).toBe('EINVAL');
  });

  test('what is no domain is ESRCH, what is on its way out cannot be unpaused, shut down or resumed', () => {
    const { host } = open();
    const domid = host.createDomain();
    expect(errnoOf(() => host.pause(99))).toBe('ESRCH');
    host.beginTeardown(domid);
    for (const operation of ['unpause', 'resume'] as const)
      expect(errnoOf(() => host[operation](domid))).toBe('EINVAL');
    expect(errnoOf(() => host.shutdown(domid, 0))).toBe('EINVAL');
  });

  test('two domains may hold one UUID', async () => {
    const { host, xen } = open();
    host.createDomain({ uuid: uuidOf(1) });
    host.createDomain({ uuid: uuidOf(1) });
    expect((await listAll(xen)).filter(({ uuid }) => uuid === uuidOf(1))).toHaveLength(2);
  });

  test('each domain has an identity of its own, though it has the domid of another', () => {
    const { host } = open();
    const seen = new Set<bigint | undefined>([host.get(0)?.uniqueId]);
    for (let index = 0; index < 5000; index++) {
      const domid = host.createDomain({ domid: 9 });
      seen.add(host.get(domid)?.uniqueId);
      host.destroy(domid);
    }
    expect(seen.size).toBe(5001);
  });
});

describe('what a listener hears', () => {
  test('nothing of creation, building, pausing and renaming', () => {
    expect(
      heard((host) => {
        const domid = host.createDomain();
        host.unpause(domid);
        host.pause(domid);
        host.setHandle(domid, uuidOf(1));
      }),
    ).toEqual([]);
  });

  test('shutdown, death and the end are an exception each; teardown is none', () => {
    expect(
      heard((host) => {
        const domid = host.createDomain();
        host.introduce(domid);
        host.shutdown(domid, 0);
        host.hold(domid);
        host.beginTeardown(domid);
        host.destroy(domid);
        host.release(domid);
      }),
    ).toEqual(['introduced 1', 'exception 1', 'exception 1', 'exception 1']);
  });

  test('a suspend is one, unless a suspend event channel is bound', () => {
    expect(
      heard((host) => {
        host.suspend(host.createDomain());
        host.suspend(host.createDomain(), { silent: true });
      }),
    ).toEqual(['exception 1']);
  });

  test('nothing after it stopped listening', () => {
    const host = new SimulatedHost();
    const said: number[] = [];
    const stop = host.listen({ introduced: (domid) => said.push(domid) });
    stop();
    host.introduce(host.createDomain());
    expect(said).toEqual([]);
  });
});
