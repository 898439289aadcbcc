/** The demonstration's part in dom0: twenty VMs and the service, questions while VMs come and go, then the real command line. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

import { DemoFigures } from '../../src/cli/demo/figures.ts';
import { type DemoHost, lineOf, screenOf } from '../../src/cli/demo/screen.ts';
import { InventoryClient } from '../../src/client/client.ts';
import { demoLine, type DemoKind } from './demo-line.ts';
import {
  command,
  makeIntroduced,
  startDomainMaker,
  startToolstack,
  xenVersion,
  xlCreate,
  type Guest,
  type Made,
} from './dom0.ts';

const GUESTS: readonly Guest[] = [
  { kind: 'pv-block', name: 'mail' },
  { kind: 'pvh-block', name: 'web-1' },
  { kind: 'pvh-block', name: 'web-2' },
  { kind: 'pv-block', name: 'build', memory: 8 },
  { kind: 'pv-poweroff', name: 'was-shut-down' },
  { kind: 'pvh-crash', name: 'has-crashed' },
];
const NAMED = [
  'db-1',
  'db-2',
  'cache',
  'queue',
  'dns',
  'ldap',
  'ntp',
  'proxy',
  'git',
  'ci',
  'chat',
];
/** Two VMs with one UUID, as a migration that failed half-way leaves them. */
const TWINS = ['wiki', 'wiki--incoming'];
const NOBODY = '6d4f1a5e-0b7c-4c4e-9d2a-3f1e5b7a9c01';
const BIN = 'dist/src/cli/bin.cjs';
const SCREEN_MS = 1000;
/** The terminal is that of another machine: the smallest usual one. */
const SIZE = { columns: 80, rows: 24, colour: false } as const;
const screens = Number(process.env['XEN_DOMID_DEMO_SCREENS']);

function tell(kind: DemoKind, text: string): void {
  for (const line of text.trimEnd().split('\n')) process.stdout.write(demoLine(kind, line));
}

function say(text: string): void {
  tell('text', text);
}

/** Shows a command, its output and its exit status, like a terminal. */
async function show(meaning: string, ...args: readonly string[]): Promise<void> {
  say(`\n# ${meaning}\n$ xen-domid ${args.join(' ')}`);
  const child = spawn(process.execPath, [BIN, ...args]);
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (printed += text));
  }
  const status = await new Promise((resolve) => child.once('close', resolve));
  say(printed);
  if (status !== 0) say(`(exit status ${String(status)})`);
}

/** Creates a VM that is not unpaused yet, with only the memory that its introduction needs. */
async function named(name: string, uuid?: string): Promise<Made> {
  tell('starting', name);
  const [made] = await makeIntroduced(1, uuid === undefined ? {} : { uuid });
  if (made === undefined) throw new Error('no domain was made');
  await command('xenstore-write', `/local/domain/${made.domid}/name`, name);
  return made;
}

/** Creates and destroys one VM each second until it is stopped; later questions are about other VMs. */
function comeAndGo(): () => Promise<void> {
  const maker = startDomainMaker();
  const stopping = new AbortController();
  const coming = (async () => {
    let last: string | undefined;
    while (!stopping.signal.aborted) {
      // oxlint-disable no-await-in-loop -- one after the other
      const [line = ''] = await maker.ask('introduced');
      if (last !== undefined) await maker.ask('destroy', last);
      last = line.split(' ')[0];
      await sleep(SCREEN_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
      // oxlint-enable no-await-in-loop
    }
    if (last !== undefined) await maker.ask('destroy', last);
    await maker.close();
  })();
  return async () => {
    stopping.abort();
    await coming;
  };
}

/** Shows the service while agents ask and VMs come and go. */
async function showLive(client: InventoryClient, host: DemoHost): Promise<void> {
  const stop = comeAndGo();
  const figures = new DemoFigures(client, new AbortController().signal);
  figures.begin();
  for (let shown = 0; shown < screens; shown++) {
    // oxlint-disable no-await-in-loop -- one after the other
    await sleep(SCREEN_MS);
    const view = figures.take(await client.stats());
    // oxlint-enable no-await-in-loop
    tell('screen', screenOf(view, host, SIZE).join('\n'));
    tell('shown', lineOf(view, host));
  }
  figures.end();
  await stop();
}

await startToolstack();
const guests: Made[] = [];
for (const guest of GUESTS) {
  tell('starting', guest.name);
  // oxlint-disable-next-line no-await-in-loop -- in the order in which they are to be listed
  guests.push(await xlCreate(guest));
}
// oxlint-disable-next-line no-await-in-loop
for (const name of NAMED) guests.push(await named(name));
let twin: Made | undefined;
// oxlint-disable-next-line no-await-in-loop
for (const name of TWINS) twin = await named(name, twin?.uuid);

const daemon = spawn(process.execPath, [BIN, 'serve'], { stdio: ['ignore', 'ignore', 'inherit'] });
const client = new InventoryClient({ timeoutMs: 300_000 });
await client.version();
const version = await xenVersion();
await showLive(client, {
  name: `Xen ${version}`,
  title: `xen-domid on a REAL Xen ${version} in an emulator, where VMs come and go`,
  hints: [
    'The emulator makes it many times slower than it is on a machine. Ctrl-C ends it.',
    `After ${screens} seconds, it is asked as you would.`,
  ],
});
await client.close();

say(
  `\nNow as a person asks the service, on Xen ${version} with ${guests.length + TWINS.length} VMs:`,
);
await show('All of them, as `xl list -v` shows them:', 'list');
await show('Which domid is the VM with this UUID?', 'lookup', guests[2]?.uuid ?? '');
await show(
  'The same for several, and for scripts:',
  'lookup',
  '--json',
  guests[1]?.uuid ?? '',
  guests[5]?.uuid ?? '',
);
await show('A UUID that no VM has:', 'lookup', NOBODY);
await show(
  'A UUID that two VMs have, after a migration that went wrong: both are named, none is picked.',
  'lookup',
  twin?.uuid ?? '',
);
daemon.kill();
await once(daemon, 'exit');
