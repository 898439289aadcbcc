/** Runs in dom0 of the lab: checks our looks and lists and libxenctrl's, then times them in turns. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { DominfoList } from '../src/hypervisor/dominfo.ts';
import type { Hypervisor } from '../src/hypervisor/hypervisor.ts';
import { openXencall } from '../src/hypervisor/libxencall.ts';
import { openHypervisor } from '../src/hypervisor/open.ts';
import { Hypercall, type Xencall } from '../src/hypervisor/xencall.ts';
import { parseUuid, uuidWords } from '../src/uuid.ts';
import {
  cell,
  makeBare,
  startTimer,
  witness,
  xenVersion,
  type Made,
  type Timer,
} from '../test/lab/dom0.ts';
import { RESULT_FILE, ROOMS, type XenBenchResult } from './xen-result.ts';

const DOMAINS = 1000;
const WARM_UP_TURNS = 5;
const LOOK_TURNS = 60;
const LOOKS_A_TURN = 400;
const LIST_TURNS = 40;
/** Chosen so that a turn of each takes some milliseconds. */
const LISTS_A_TURN = { ours: 8, 2: 1, 1024: 6, 1200: 6, 32768: 1 } as const;

async function checkedNanoseconds(
  timer: Timer,
  request: string,
  expected: RegExp,
): Promise<number> {
  const answer = await timer.ask(request);
  assert.match(answer, expected);
  return Number(answer.split(' ')[1]);
}

function timeOurLooks(hypervisor: Hypervisor, domain: Made): number {
  const wanted = uuidWords(parseUuid(domain.uuid));
  let found = 0;
  const start = process.hrtime.bigint();
  for (let look = 0; look < LOOKS_A_TURN; look++) {
    const info = hypervisor.getDomainInfo(domain.domid);
    if (info?.hasHandle(wanted) === true && !info.dying) found += 1;
  }
  const took = Number(process.hrtime.bigint() - start);
  assert.equal(found, LOOKS_A_TURN);
  return took / LOOKS_A_TURN;
}

async function timeTheirLooks(timer: Timer, how: string, { domid }: Made): Promise<number> {
  const request = `${how} ${domid} ${LOOKS_A_TURN}`;
  const found = new RegExp(`^${how} \\d+ ${LOOKS_A_TURN} ${LOOKS_A_TURN}$`);
  return (await checkedNanoseconds(timer, request, found)) / LOOKS_A_TURN;
}

/** Reads the fields of each domain that the inventory compares: domid, flags and handle. */
function readAll(list: DominfoList): number {
  let mixed = list.length;
  for (let index = 0; index < list.length; index++) {
    const info = list.at(index);
    mixed ^= info.domid ^ info.flags;
    mixed ^= info.handleWord(0) ^ info.handleWord(1) ^ info.handleWord(2) ^ info.handleWord(3);
  }
  return mixed;
}

async function timeOurLists(hypervisor: Hypervisor): Promise<number> {
  let length = 0;
  const start = process.hrtime.bigint();
  for (let list = 0; list < LISTS_A_TURN.ours; list++) {
    // oxlint-disable-next-line no-await-in-loop -- timed one after the other
    await hypervisor.listDomains((domains) => {
      readAll(domains);
      length = domains.length;
    });
  }
  const took = Number(process.hrtime.bigint() - start);
  assert.equal(length, DOMAINS + 1);
  return took / LISTS_A_TURN.ours;
}

async function timeTheirLists(timer: Timer, room: (typeof ROOMS)[number]): Promise<number> {
  const times = LISTS_A_TURN[room];
  const all = new RegExp(`^list \\d+ ${times} \\d+ ${DOMAINS + 1} stop=`);
  return (await checkedNanoseconds(timer, `list ${room} ${times}`, all)) / times;
}

async function timeBareLists(timer: Timer): Promise<number> {
  const request = `rawlist ${LISTS_A_TURN.ours}`;
  const all = new RegExp(`^rawlist \\d+ ${LISTS_A_TURN.ours} ${DOMAINS + 1}$`);
  return (await checkedNanoseconds(timer, request, all)) / LISTS_A_TURN.ours;
}

async function timeThread(xencall: Xencall): Promise<number> {
  const start = process.hrtime.bigint();
  for (let times = 0; times < LISTS_A_TURN.ours; times++) {
    // oxlint-disable-next-line no-await-in-loop -- timed one after the other
    await xencall.callAsync(Hypercall.xenVersion, 0);
  }
  return Number(process.hrtime.bigint() - start) / LISTS_A_TURN.ours;
}

/** Checks the answers of everything that is timed. */
async function check(hypervisor: Hypervisor, made: readonly Made[]): Promise<void> {
  const seen = (await witness()).map(({ domid, uuid }) => ({ domid, uuid }));
  assert.equal(seen.length, DOMAINS + 1);
  const listed = await hypervisor.listDomains((list) =>
    Array.from(list, ({ domid, uuid }) => ({ domid, uuid })),
  );
  assert.deepEqual(listed, seen);
  for (const { domid, uuid } of made) {
    const wanted = uuidWords(parseUuid(uuid));
    assert.equal(hypervisor.getDomainInfo(domid)?.hasHandle(wanted), true);
  }
}

/** Times each contestant once a turn, in an order that changes from turn to turn. */
async function inTurns(
  turns: number,
  contestants: readonly ((turn: number) => number | Promise<number>)[],
): Promise<number[][]> {
  const columns: number[][] = contestants.map(() => []);
  for (let turn = -WARM_UP_TURNS; turn < turns; turn++) {
    const order = [...contestants.keys()];
    const first = (turn + WARM_UP_TURNS) % order.length;
    for (const index of [...order.slice(first), ...order.slice(0, first)]) {
      // oxlint-disable-next-line no-await-in-loop -- in turns
      const took = await contestants[index]?.(turn + WARM_UP_TURNS);
      if (turn >= 0) columns[index]?.push(took ?? Number.NaN);
    }
  }
  return columns;
}

const made = await makeBare(DOMAINS);
const hypervisor = openHypervisor();
const timer = startTimer();
await check(hypervisor, made);

const someone = (turn: number): Made => made[(turn * 37) % DOMAINS] as Made;
const [ourLooks = [], theirLooks = [], bareLooks = []] = await inTurns(LOOK_TURNS, [
  (turn) => timeOurLooks(hypervisor, someone(turn)),
  (turn) => timeTheirLooks(timer, 'single', someone(turn)),
  (turn) => timeTheirLooks(timer, 'raw', someone(turn)),
]);
const xencall = openXencall();
const [ourLists = [], bareLists = [], thread = [], ...theirLists] = await inTurns(LIST_TURNS, [
  () => timeOurLists(hypervisor),
  () => timeBareLists(timer),
  () => timeThread(xencall),
  ...ROOMS.map((room) => () => timeTheirLists(timer, room)),
]);
xencall.close();
await check(hypervisor, made);

const result: XenBenchResult = {
  xen: await xenVersion(),
  node: process.version,
  domains: DOMAINS + 1,
  look: { ours: ourLooks, c: theirLooks, bare: bareLooks },
  list: {
    ours: ourLists,
    bare: bareLists,
    thread,
    c: ROOMS.map((room, index) => ({ room, took: theirLists[index] ?? [] })),
  },
};
await writeFile(join(cell.output, RESULT_FILE), JSON.stringify(result));
await timer.close();
await hypervisor.close();
