/** The text of `stats` for people: rates and shares. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { statsText } from '../../src/cli/commands/stats-text.ts';
import { A, UNKNOWN, World } from './world.ts';

describe('stats', () => {
  let world: World;

  beforeEach(async () => {
    world = await World.make();
  });
  afterEach(() => world.close());

  it('prints rates and shares of a service', async () => {
    await world.run('lookup', A);
    await world.run('lookup', A);
    await world.run('lookup', A);
    await world.run('lookup', UNKNOWN);
    expect(await world.run('stats')).toBe(0);
    const { out } = world.output;
    expect(out).toMatch(/^look-ups +0\/s +[\d.]+\/s +4$/m);
    expect(out).toMatch(/^ {2}found +- +75 % +3$/m);
    expect(out).toMatch(/^ {2}not found +- +25 % +1$/m);
    expect(out).toMatch(/^domains: 6, dying: 0$/m);
    expect(out).toMatch(/^NOT connected to xenstore/m);
    for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(60);
  });

  it('prints all counters as JSON', async () => {
    await world.run('lookup', A);
    expect(await world.run('stats', '--json')).toBe(0);
    expect(JSON.parse(world.output.out)).toMatchObject({ lookups: { found: 1 } });
  });
});

const before = {
  uptimeSeconds: 90_000,
  lookups: { found: 1000, notFound: 0, ambiguous: 0, unavailable: 0 },
  sources: { cache: 900, next: 100 },
  hypercalls: { single: 1100, list: 10 },
  entriesCopied: 500,
  lists: { miss: 5, event: 5 },
  events: 20,
  xenstoreConnected: true,
};
const after = {
  ...before,
  uptimeSeconds: 90_002,
  lookups: { ...before.lookups, found: 1100 },
  sources: { cache: 900, next: 200 },
  hypercalls: { single: 1300, list: 10 },
  changesFoundByTimer: 3,
  domains: 1234,
  dying: 2,
};

describe('the text', () => {
  it('has the rates of the time between, and since the start', () => {
    const text = statsText(before, after);
    expect(text).toMatch(/^look-ups +50\/s +0\.0122\/s +1,100$/m);
    expect(text).toMatch(/^ {2}by the cache +0 % +81\.8 % +900$/m);
    expect(text).toMatch(/^ {2}at the next domid +100 % +18\.2 % +200$/m);
    expect(text).toMatch(/^single looks a look-up +2 +1\.18$/m);
    expect(text).toMatch(/^lists of all domains +0\/s +<0\.01\/s +10$/m);
    expect(text).toMatch(/^up 1 d 1 h$/m);
    expect(text).toMatch(/^domains: 1,234, dying: 2$/m);
    expect(text).toMatch(/^connected to xenstore$/m);
  });

  it('leaves out results that have not occurred, and names what an administrator should know', () => {
    const text = statsText(before, { ...after, stalled: true, connections: { turnedAway: 7 } });
    expect(text).not.toContain('ambiguous');
    expect(text).toMatch(/^changes found only by the slow timer: 3$/m);
    expect(text).toMatch(/^Xen delays domctls/m);
    expect(text).toMatch(/^connections turned away: 7$/m);
  });

  it('takes counters of another version as zero, and prints none of their text', () => {
    const text = statsText({}, { lookups: 'x\u001b[2J', hypercalls: { single: 'y' }, more: 'z' });
    // oxlint-disable-next-line no-control-regex -- that is what must not be there
    expect(text).not.toMatch(/[\u001bxyz]\b/);
    expect(text).toMatch(/^look-ups +-\/s +-\/s +0$/m);
  });
});
