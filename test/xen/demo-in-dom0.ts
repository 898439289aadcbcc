/** The demonstration's part in dom0: makes twenty VMs and asks for some of them, with the command line as it is. */
import { spawn } from 'node:child_process';

import { DEMO_LINE } from './demo-line.ts';
import {
  command,
  makeIntroduced,
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
/** Two VMs with one UUID: what a migration that failed half-way leaves behind. */
const TWINS = ['wiki', 'wiki--incoming'];
const NOBODY = '6d4f1a5e-0b7c-4c4e-9d2a-3f1e5b7a9c01';
const BIN = 'dist/src/cli/bin.cjs';

function say(text: string): void {
  for (const line of text.trimEnd().split('\n')) process.stdout.write(`${DEMO_LINE}${line}\n`);
}

/** Shows the command, what it prints and its exit status, as a terminal would. */
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

/** A VM that its toolstack has not unpaused yet, nor given more memory than it takes to introduce it. */
async function named(name: string, uuid?: string): Promise<Made> {
  process.stdout.write(`${DEMO_LINE}+ ${name}\n`);
  const [made] = await makeIntroduced(1, uuid === undefined ? {} : { uuid });
  if (made === undefined) throw new Error('no domain was made');
  await command('xenstore-write', `/local/domain/${made.domid}/name`, name);
  return made;
}

await startToolstack();
const guests: Made[] = [];
for (const guest of GUESTS) {
  process.stdout.write(`${DEMO_LINE}+ ${guest.name}\n`);
  // oxlint-disable-next-line no-await-in-loop -- in the order in which they are to be listed
  guests.push(await xlCreate(guest));
}
// oxlint-disable-next-line no-await-in-loop
for (const name of NAMED) guests.push(await named(name));
let twin: Made | undefined;
// oxlint-disable-next-line no-await-in-loop
for (const name of TWINS) twin = await named(name, twin?.uuid);

say(
  `Xen ${await xenVersion()}, with ${guests.length + TWINS.length} VMs. Each command is asked of the hypervisor itself.`,
);
await show('All of them, as `xl list -v` shows them:', 'list', '--direct');
await show('Which domid is the VM with this UUID?', 'lookup', '--direct', guests[2]?.uuid ?? '');
await show(
  'The same for several, and for scripts:',
  'lookup',
  '--direct',
  '--json',
  guests[1]?.uuid ?? '',
  guests[5]?.uuid ?? '',
);
await show('A UUID that no VM has:', 'lookup', '--direct', NOBODY);
await show(
  'A UUID that two VMs have, after a migration that went wrong: both are named, none is picked.',
  'lookup',
  '--direct',
  twin?.uuid ?? '',
);
