import { afterEach, describe, expect, test } from '@jest/globals';
import {
  SimulatedHost,
  SimulatedXenstored,
  bootSteps,
  bootVm,
  destroySteps,
  destroyVm,
  tombstoneOf,
} from '../../src/simulator/index.ts';
import { XsdType as Type } from '../../src/xenstore/messages.ts';
import { RawClient } from './raw-client.ts';
import { uuidOf } from '../support/vms.ts';

const uuid = uuidOf(1);
const opened: (() => Promise<void>)[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((close) => close()));
});

async function open(): Promise<{
  host: SimulatedHost;
  xenstored: SimulatedXenstored;
  client: RawClient;
}> {
  const host = new SimulatedHost();
  const xenstored = await SimulatedXenstored.start(host);
  const client = await RawClient.connect(xenstored.socketPath);
  opened.push(async () => {
    client.close();
    await xenstored.close();
  });
  for (const path of ['@introduceDomain', '@releaseDomain'])
    // oxlint-disable-next-line no-await-in-loop
    await client.ask(Type.WATCH, [path, 't']);
  await client.news();
  return { host, xenstored, client };
}

describe('a boot', () => {
  test('comes to be seen step by step: domain, nodes, memory, event, running', async () => {
    const { host, xenstored, client } = await open();
    const seen: unknown[] = [];
    for (const step of bootSteps(host, xenstored, { uuid, name: 'web' })) {
      const domain = host.get(1);
      seen.push([
        step,
        domain?.uuid,
        xenstored.read('/local/domain/1/name'),
        domain?.built,
        xenstored.isIntroduced(1),
        domain?.paused,
      ]);
    }
    expect(seen).toEqual([
      ['created', uuid, undefined, false, false, true],
      ['named', uuid, 'web', false, false, true],
      ['built', uuid, 'web', true, false, true],
      ['introduced', uuid, 'web', true, true, true],
      ['unpaused', uuid, 'web', true, true, false],
    ]);
    expect(await client.news()).toEqual(['@introduceDomain|t|']);
  });

  test('writes the names at the domid and at the UUID', async () => {
    const { host, xenstored } = await open();
    const domid = bootVm(host, xenstored, { uuid });
    expect(xenstored.read(`/local/domain/${domid}/vm`)).toBe(`/vm/${uuid}`);
    expect(xenstored.read(`/vm/${uuid}/uuid`)).toBe(uuid);
    expect(xenstored.read(`/vm/${uuid}/name`)).toBe(`vm-${domid}`);
    expect(xenstored.read(`/local/domain/${domid}/domid`)).toBe(`${domid}`);
  });

  test('leaves a domid at the UUID on xapi hosts alone', async () => {
    for (const flavour of ['libxl', 'xapi'] as const) {
      // oxlint-disable-next-line no-await-in-loop
      const { host, xenstored } = await open();
      const domid = bootVm(host, xenstored, { uuid, flavour });
      expect(xenstored.directory(`/vm/${uuid}/domains`)).toEqual(
        flavour === 'xapi' ? [`${domid}`] : undefined,
      );
    }
  });

  test('needs no xenstore', () => {
    const host = new SimulatedHost();
    expect(host.get(bootVm(host, undefined, { uuid }))?.paused).toBe(false);
  });
});

describe('a destruction', () => {
  test('by libxl takes the nodes away before the domain dies', async () => {
    const { host, xenstored, client } = await open();
    const domid = bootVm(host, xenstored, { uuid });
    await client.news();
    const seen: unknown[] = [];
    for (const step of destroySteps(host, xenstored, domid)) {
      seen.push([step, host.get(domid)?.stage, xenstored.directory('/vm'), host.get(domid)?.uuid]);
    }
    expect(seen).toEqual([
      ['nodes removed', 'live', [], uuid],
      ['teardown', 'teardown', [], uuid],
      ['dying', 'dead', [], uuid],
      ['destroyed', undefined, [], undefined],
    ]);
    expect(xenstored.directory('/local/domain')).toEqual([]);
    expect(await client.news()).toEqual(['@releaseDomain|t|']);
  });

  test('by xapi sets a tombstone first, and takes the nodes away at the end', async () => {
    const { host, xenstored, client } = await open();
    const domid = bootVm(host, xenstored, { uuid, flavour: 'xapi' });
    await client.news();
    const seen: unknown[] = [];
    for (const step of destroySteps(host, xenstored, domid, 'xapi')) {
      seen.push([step, host.get(domid)?.stage, xenstored.directory('/vm'), host.get(domid)?.uuid]);
    }
    const tombstone = 'deadbeef-dead-beef-dead-beef00000001';
    expect(tombstoneOf(domid)).toBe(tombstone);
    expect(seen).toEqual([
      ['tombstoned', 'live', [uuid], tombstone],
      ['teardown', 'teardown', [uuid], tombstone],
      ['dying', 'dead', [uuid], tombstone],
      ['destroyed', undefined, [uuid], undefined],
      ['nodes removed', undefined, [], undefined],
    ]);
    expect(await client.news()).toEqual(['@releaseDomain|t|']);
  });

  test('of a VM that reboots on xapi leaves the nodes of its new domain', async () => {
    const { host, xenstored } = await open();
    const old = bootVm(host, xenstored, { uuid, flavour: 'xapi' });
    const fresh = bootVm(host, xenstored, { uuid, flavour: 'xapi' });
    destroyVm(host, xenstored, old, 'xapi');
    expect(xenstored.directory(`/vm/${uuid}/domains`)).toEqual([`${fresh}`]);
  });

  test('of what is no domain does nothing', () => {
    destroyVm(new SimulatedHost(), undefined, 9);
  });
});
