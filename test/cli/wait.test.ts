import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { InventoryClient } from '../../src/client/client.ts';
import { parseUuid } from '../../src/uuid.ts';
import { until } from '../support/until.ts';
import { A, B, TWICE, UNKNOWN, World } from './world.ts';

const CRASH = 3;

let world: World;

beforeEach(async () => {
  world = await World.make();
});

afterEach(() => world.close());

describe('wait', () => {
  it.each([
    [[A], '1\n'],
    [[A.toUpperCase(), '--for', 'running'], '1\n'],
    [[UNKNOWN, '--for', 'gone'], 'gone\n'],
    [[UNKNOWN, '--for', 'shutdown'], 'gone\n'],
  ])('is done at once where it is so: %j', async (argv, out) => {
    expect(await world.run('wait', ...argv)).toBe(0);
    expect(world.output).toEqual({ out, err: '' });
  });

  it('prints why a VM shut down', async () => {
    const running = world.run('wait', B, '--for', 'shutdown');
    world.host.shutdown(2, CRASH);
    expect(await running).toBe(0);
    expect(world.output.out).toBe('2 crash\n');
    expect(await world.run('wait', B, '--for', 'shutdown', '--json')).toBe(0);
    expect(JSON.parse(world.output.out)).toMatchObject({
      uuid: B,
      state: 'shutdown',
      status: 'found',
      domain: { domid: 2, shutdownReason: 'crash' },
      reached: true,
    });
  });

  it('goes on over a restart of the service', async () => {
    let ended = false;
    const running = world.run('wait', UNKNOWN, '--timeout', '1m').finally(() => (ended = true));
    const { socket } = world;
    await until(async () => (await waitsAt(socket)) === 1);
    await world.stopService();
    await world.startService();
    await until(async () => (await waitsAt(socket)) === 1);
    expect(ended).toBe(false);
    world.host.createDomain({ uuid: parseUuid(UNKNOWN), domid: 17 });
    expect(await running).toBe(0);
    expect(world.output.out).toBe('17\n');
  });

  it.each([
    [[UNKNOWN], `${UNKNOWN} is not present: no domain has it`],
    [[A, '--for', 'gone'], `${A} is not gone: domain 1 has it, running`],
    [[TWICE, '--for', 'gone'], 'more than one domain has the UUID .*: domids 5, 9'],
  ])('exits 4 when the time is up, and tells the state: %j', async (argv, what) => {
    expect(await world.run('wait', ...argv, '--timeout', '1s')).toBe(4);
    expect(world.output.out).toBe('');
    expect(world.output.err).toMatch(new RegExp(`^xen-domid: the time is up, and .*${what}\n$`));
    expect(await world.run('wait', ...argv, '--timeout', '1s', '--json')).toBe(4);
    expect(JSON.parse(world.output.out)).toMatchObject({ reached: false });
    expect(world.output.err).toBe('');
  });

  it('exits 3 for a VM with two domains', async () => {
    expect(await world.run('wait', TWICE)).toBe(3);
    expect(world.output.out).toBe('5 9\n');
    expect(world.output.err).toContain('more than one domain has the UUID');
  });

  it('exits 4 at once without a service', async () => {
    await world.stopService();
    expect(await world.run('wait', A, '--timeout', '1h')).toBe(4);
    expect(world.output.err).toContain('no service answers');
  });

  it.each([
    [[], 'wait takes one UUID'],
    [[A, B], 'wait takes one UUID'],
    [['web-1'], 'is not a UUID'],
    [[A, '--for', 'dead'], 'expected present, running, shutdown, gone, for example --for running'],
    [[A, '--timeout', '30'], 'for example 30s or 5m, not "30"'],
    [[A, '--timeout', '0s'], 'for example 30s'],
    [[A, '--timeout', 'soon'], 'for example 30s'],
    [[A, '--direct'], 'wait has no option --direct'],
  ])('exits 2 for %j', async (argv, message) => {
    expect(await world.run('wait', ...argv)).toBe(2);
    expect(world.output.err).toContain(message);
  });
});

async function waitsAt(socket: string): Promise<unknown> {
  const client = new InventoryClient({ socket });
  try {
    return (await client.stats())['waits'];
  } finally {
    await client.close();
  }
}
