/** The oracle catches every missing guard: each is removed from a copy of the build. */
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { copyBuild, type Patch } from '../mutants/patched-build.ts';
import { type ChildVerdict, runOracleIn } from '../oracle/child.ts';

const GUARDS: readonly Patch[] = [
  {
    name: 'the echoed domid is compared',
    file: 'hypervisor/xen-hypervisor.js',
    text: 'return this.#domctlInfo.domid === domid ? this.#domctlInfo : undefined;',
    without: 'return this.#domctlInfo;',
  },
  {
    name: 'the handle is compared',
    file: 'inventory/lookups.js',
    text: '!info.dying && info.hasHandle(handle) ? info',
    without: '!info.dying ? info',
  },
  {
    name: 'a dying domain is no answer',
    file: 'inventory/lookups.js',
    text: 'info !== undefined && !info.dying && info.hasHandle',
    without: 'info !== undefined && info.hasHandle',
  },
  {
    name: 'a list answers only callers that asked before it began',
    file: 'inventory/lists.js',
    text: `const queued = this.#queued;
        this.#queued = emptyQueue();`,
    without: `const queued = this.#queued;
        this.#queued = { ...emptyQueue(), waiters: queued.waiters };`,
  },
  {
    name: 'the nil handle is left out',
    file: 'inventory/feed/difference.js',
    text: 'return leaving || sight.nil ? [] : [created(domain)];',
    without: 'return leaving ? [] : [created(domain)];',
  },
  {
    name: 'tombstones are left out',
    file: 'inventory/feed/difference.js',
    text: 'const leaving = domain.dying || tombstone;',
    without: 'const leaving = domain.dying;',
  },
  {
    name: 'a new handle is read again',
    file: 'inventory/census.js',
    text: `return hasZeroHalf(info);
        return !this.#mirror.hasSameHandle(info);`,
    without: `return false;
        return false;`,
  },
  {
    name: 'if a list and a look during it disagree, another look is made',
    file: 'inventory/census.js',
    text: 'return this.#listsAtLook[domid] === this.lists;',
    without: 'return false;',
  },
  {
    name: 'the list of a connection comes after the first events of both watches',
    file: 'inventory/pipeline.js',
    text: 'combineLatest([introduced$.pipe(take(1)), released$.pipe(take(1))])',
    without: 'introduced$.pipe(take(1))',
  },
  {
    name: 'an event during a list makes one more list',
    file: 'inventory/lists.js',
    text: 'const due = this.#queued.due.get(reason) ?? Infinity;',
    without: `if (reason === 'event' && this.#running !== undefined) return;
        const due = this.#queued.due.get(reason) ?? Infinity;`,
  },
  {
    name: 'a further holder takes the first one out of the cache',
    file: 'inventory/holders.js',
    text: `holderAdded(handle) {
        this.#known.delete(uuidOf(handle));`,
    without: 'holderAdded(handle) {',
  },
  {
    name: 'a UUID with several holders is not cached',
    file: 'inventory/holders.js',
    text: 'if (holders.length === 1 && domid !== undefined)',
    without: 'if (domid !== undefined)',
  },
  {
    name: 'the first of several holders is read once more',
    file: 'inventory/lookups.js',
    text: 'if (this.#readHolder(first.domid, uuid, source) !== undefined) {',
    without: 'if (first !== undefined) {',
  },
  {
    name: 'a snapshot has the domains as the feed has them',
    file: 'inventory/feed/snapshot.js',
    text: 'known === undefined ? seen : asTold(known, seen)',
    without: 'seen',
  },
  {
    name: 'a snapshot does not change after its token',
    file: 'inventory/census.js',
    text: 'this.#told.concat()',
    without: 'this.#told',
  },
  {
    name: 'no change is emitted before a list has been taken in',
    file: 'inventory/feed/feed.js',
    text: `if (this.#holds > 0)
            return;`,
    without: `if (this.#holds > 1)
            return;`,
  },
  {
    name: 'a list that began before a wait does not prove that its VM is gone',
    file: 'inventory/waiting/waits.js',
    text: 'number <= wait.listsBefore || ',
    without: '',
  },
  {
    name: 'a VM with a known holder is not gone',
    file: 'inventory/waiting/waits.js',
    text: ' || this.#hasHolder(wait))',
    without: ')',
  },
  {
    name: "the list's memory is kept from the next list",
    file: 'hypervisor/xen-hypervisor.js',
    text: 'this.#lists = list.catch(() => undefined);',
    without: '',
  },
  {
    name: 'a domain with another unique id is another one',
    file: 'inventory/feed/difference.js',
    text: 'known.uniqueId !== domain.uniqueId',
    without: 'known === domain',
  },
  {
    name: 'a holder that was listed and is gone does not prove that there is none',
    file: 'inventory/pending-lookup.js',
    text: 'if (shown.has(this.#uuid))',
    without: 'if (shown === undefined)',
  },
  {
    name: 'net changes tell a new domain from the one before it',
    file: 'inventory/feed/conflate.js',
    text: "if (kind === 'destroyed')\n            span.isOther = true;",
    without: '',
  },
  {
    name: 'a token of another feed makes a resync',
    file: 'inventory/feed/feed.js',
    text: 'epoch === this.#epoch && ',
    without: '',
  },
  {
    name: 'a look-up ends at its deadline',
    file: 'inventory/lookups.js',
    text: 'onTimeout: () => pending.answer(TIMEOUT),',
    without: 'onTimeout: () => undefined,',
  },
  {
    name: 'look-ups of many have one deadline',
    file: 'inventory/lookups.js',
    text: 'const leftMs = Math.max(LEAST_MS, deadline - performance.now());',
    without: 'const leftMs = 2 * timeoutMs;',
  },
  {
    name: 'a look-up ends when its signal is aborted',
    file: 'inventory/lookups.js',
    text: 'onAborted: (reason) => pending.abort(reason),',
    without: 'onAborted: () => undefined,',
  },
  {
    name: 'a call that has ended leaves its signal',
    file: 'inventory/limits.js',
    text: `stopTimer();
        stopListening();`,
    without: 'stopTimer();',
  },
  {
    name: 'close ends pending lists',
    file: 'inventory/lists.js',
    text: `for (const waiter of [...miss, ...list])
            waiter.failed(closedError());`,
    without: '',
  },
  {
    name: 'close ends subscriptions',
    file: 'inventory/inventory.js',
    text: 'this.#feed.end();',
    without: '',
  },
  {
    name: 'close stops the looks at dying domains',
    file: 'inventory/inventory.js',
    text: 'this.#zombies.close();',
    without: '',
  },
  {
    name: 'close ends the connection to xenstore',
    file: 'inventory/inventory.js',
    text: 'this.#xenstore.close();',
    without: '',
  },
];

/** Each is found within a few seconds; the rest is for a busy machine. */
const MOST_SECONDS = 90;
const seed = Number(process.env['ORACLE_SEED'] ?? Math.trunc(Math.random() * 2 ** 31));

let directory: string;
const verdicts = new Map<string, ChildVerdict>();

async function judge(name: string, guard: Patch | undefined, seconds: number): Promise<void> {
  const copy = join(directory, name.replaceAll(/\W+/g, '-'));
  await copyBuild(copy, ['oracle', 'support'], guard);
  const main = join(copy, 'dist/test/oracle/main.js');
  verdicts.set(name, await runOracleIn(main, ['--seconds', `${seconds}`, '--seed', `${seed}`]));
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'guards-'));
  const jobs = [
    () => judge('none', undefined, 3),
    ...GUARDS.map((guard) => () => judge(guard.name, guard, MOST_SECONDS)),
  ];
  const work = async (): Promise<void> => {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
      // oxlint-disable-next-line no-await-in-loop -- as many at once as there are cores
      await job();
    }
  };
  await Promise.all(Array.from({ length: Math.min(2, cpus().length) }, work));
}, 600_000);

afterAll(() => rm(directory, { recursive: true, force: true }));

describe(`on a copy of the build (seed ${seed})`, () => {
  test('with all guards the oracle finds no violation', () => {
    expect(verdicts.get('none')).toMatchObject({
      exitCode: 0,
      output: expect.stringContaining('look-ups'),
    });
  });

  test.each(GUARDS)('without this guard the oracle finds a violation: $name', ({ name }) => {
    const { exitCode, output, seconds } = verdicts.get(name) as ChildVerdict;
    // A XenError where the inventory refused what the guard should have kept from it.
    expect(output).toMatch(/: (Violation|XenError): /);
    expect(exitCode).toBe(1);
    process.stdout.write(`${seconds.toFixed(1)} s, ${name}: ${output.slice(0, 200).trim()}\n`);
  });
});
