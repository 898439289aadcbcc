/** In dom0: the measured processes, and the requests to them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';

import { DEFAULT_SOCKET_PATH } from '../../src/client/client.ts';
import { Companion, until } from '../../test/lab/dom0.ts';
import type { SeenChange, Timed } from './agent-results.ts';
import type { Counts, Work } from './results.ts';
import { WAY_NAMES } from './way-names.ts';

/** Expected domids: any domain, and no domain. */
export const ANYBODY = -2;
export const NOBODY = -1;

/** A way to list: entries a call, and the page that ends a list. */
export interface ListWay {
  readonly name: string;
  readonly how: `${number} ${'append' | 'empty' | 'short' | 'once'}`;
  /** One VM in so many is measured. */
  readonly every: number;
}

export const LIST_WAYS: Readonly<Record<'by2' | 'by1024' | 'short' | 'once', ListWay>> = {
  by2: { name: WAY_NAMES.by2, how: '2 append', every: 16 },
  by1024: { name: WAY_NAMES.by1024, how: '1024 empty', every: 1 },
  short: { name: WAY_NAMES.short, how: '1024 short', every: 4 },
  once: { name: WAY_NAMES.once, how: '32768 once', every: 8 },
};

/** The C program `contestants.c`. */
export class OthersInC {
  readonly #process = new Companion('contestants');

  async lookup(how: string, uuid: string, domid: number, times = 1): Promise<Measured> {
    return this.#timed(times, 'lookup', how, uuid, domid, times);
  }

  async event(how: string): Promise<Measured> {
    return this.#timed(1, 'event', how);
  }

  async nothing(): Promise<Measured> {
    return this.#timed(1, 'nothing');
  }

  async byXenstore(
    what: 'store' | 'xl',
    uuid: string,
    domid: number,
    times: number,
  ): Promise<Measured> {
    return this.#timed(times, what, uuid, domid, times);
  }

  /** Opens the table for `byTable`, which asks the service on the socket, if one is given, where the table has no answer. */
  async openTable(table: string, socket = '-'): Promise<void> {
    await this.tell('open', table, socket);
  }

  async byTable(uuid: string, domid: number, times: number): Promise<Measured> {
    return this.#timed(times, 'table', uuid, domid, times);
  }

  /**
   * Looks up by the table, and at the known domid; in the other order in every second turn, because other processes are
   * still busy with the step before when the first of the two begins.
   */
  async byTableAndBare(
    uuid: string,
    domid: number,
    times: number,
    turn: number,
  ): Promise<(readonly [name: string, Measured])[]> {
    const ways = [
      [WAY_NAMES.byTable, 'table'],
      [WAY_NAMES.bare, 'bare'],
    ] as const;
    const measured: (readonly [string, Measured])[] = [];
    for (const [name, how] of turn % 2 === 0 ? ways : ways.toReversed()) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      measured.push([name, await this.#timed(times, how, uuid, domid, times)]);
    }
    return measured;
  }

  async tell(...words: readonly (string | number)[]): Promise<void> {
    const answer = await this.#process.ask(...words);
    if (answer !== 'done') throw new Error(`contestants: ${words.join(' ')}: ${answer}`);
  }

  /** Nanoseconds. */
  async number(...words: readonly (string | number)[]): Promise<number> {
    return Number(await this.#process.ask(...words));
  }

  /** For each domain that ended since `gone`: its domid, the time at which it was last seen, and the time at which it was first missing. */
  async seen(): Promise<{ domid: number; thereNs: number; missedNs: number }[]> {
    const rows = await this.#rows('seen');
    return rows.map(([domid = NaN, thereNs = NaN, missedNs = NaN]) => ({
      domid,
      thereNs,
      missedNs,
    }));
  }

  /** The times at which new domains since `newcomers` were first listed, by domid. */
  async came(): Promise<Map<number, number>> {
    const rows = await this.#rows('came');
    return new Map(rows.map(([domid = NaN, listedNs = NaN]) => [domid, listedNs]));
  }

  async close(): Promise<void> {
    await this.#process.close();
  }

  async #rows(request: string): Promise<number[][]> {
    this.#process.tell(request);
    const rows: number[][] = [];
    for (let line = await this.#process.line(); line !== 'done'; line = await this.#process.line())
      rows.push(line.split(' ').map(Number));
    return rows;
  }

  async #timed(count: number, ...words: readonly (string | number)[]): Promise<Measured> {
    const answer = await this.#process.ask(...words);
    const numbers = answer.split(' ').map(Number);
    const [wallNs = 0, cpuNs = 0, idleNs = 0, wrong = 0, calls = 0, entries = 0] = numbers;
    if (numbers.length !== 6) throw new Error(`contestants: ${words.join(' ')}: ${answer}`);
    return { work: { count, wallNs, cpuNs, wrong, calls, entries }, idleNs };
  }
}

export interface Measured {
  readonly work: Work;
  /** CPU of the process since its previous answer. */
  readonly idleNs: number;
}

export interface MeasuredOurs {
  readonly work: Work;
  /** The time of the first look-up. */
  readonly firstNs: number;
}

interface Stats {
  readonly hypercalls: { readonly single: number; readonly list: number };
  readonly entriesCopied: number;
  readonly events: number;
  readonly lists: Readonly<Record<string, number>>;
  /** Missing from the service's counters. */
  readonly listMs?: number;
}

/** The table that the inventory in process keeps. The service has its own. */
export const INVENTORY_TABLE = '/run/xen-domid-bench/domids';

/** `agent.ts`: xen-domid in process, or a client of the service. */
export class Agent {
  readonly #process: Companion;

  constructor(role: 'inventory' | 'client') {
    const script = new URL('./agent.js', import.meta.url).pathname;
    this.#process = new Companion(process.execPath, [script, role, INVENTORY_TABLE]);
  }

  get pid(): number {
    return this.#process.pid;
  }

  async lookup(uuid: string, domid: number, times: number): Promise<MeasuredOurs> {
    return this.#timed(times, 'lookup', uuid, domid, times);
  }

  async paged(how: string, uuid: string, domid: number, times = 1): Promise<MeasuredOurs> {
    return this.#timed(times, 'paged', how, uuid, domid, times);
  }

  /** Waits until so many events are answered. Returns true if it had to wait. */
  async events(count: number): Promise<boolean> {
    return this.ask('events', count);
  }

  async counts(): Promise<Counts> {
    return countsOf(await this.ask<object>('stats'));
  }

  async changes(): Promise<SeenChange[]> {
    return this.ask('changes');
  }

  async ask<T>(...words: readonly (string | number)[]): Promise<T> {
    return JSON.parse(await this.#process.ask(...words)) as T;
  }

  async close(): Promise<void> {
    await this.#process.close();
  }

  async #timed(count: number, ...words: readonly (string | number)[]): Promise<MeasuredOurs> {
    const { wallNs, firstNs, cpuNs, wrong } = await this.ask<Timed>(...words);
    return { work: { count, wallNs, cpuNs, wrong, calls: 0, entries: 0 }, firstNs };
  }
}

/** @param stats the inventory's, or the service's. */
export function countsOf(stats: object): Counts {
  const { hypercalls, entriesCopied, events, lists, listMs } = stats as Stats;
  const { single, list } = hypercalls;
  return { single, list, entries: entriesCopied, events, lists, listMs: listMs ?? Number.NaN };
}

export function countsBetween(before: Counts, after: Counts): Counts {
  const lists = Object.entries(after.lists).map(([reason, count]) => [
    reason,
    count - (before.lists[reason] ?? 0),
  ]);
  return {
    single: after.single - before.single,
    list: after.list - before.list,
    entries: after.entries - before.entries,
    events: after.events - before.events,
    lists: Object.fromEntries(lists) as Record<string, number>,
    listMs: after.listMs - before.listMs,
  };
}

export interface Daemon {
  readonly pid: number;
  close(): Promise<void>;
}

/** Long, for an emulator on a busy machine. */
const START_TIMEOUT_MS = 180_000;

/** Starts the service from the command line and waits until it listens. */
export async function startDaemon(): Promise<Daemon> {
  const script = new URL('../../src/cli/bin.cjs', import.meta.url).pathname;
  const child = spawn(process.execPath, [script, 'serve'], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const socket = DEFAULT_SOCKET_PATH;
  await until(() => existsSync(socket), {
    what: 'the service listens',
    timeoutMs: START_TIMEOUT_MS,
  });
  return {
    pid: child.pid ?? Number.NaN,
    close: async () => {
      const closed = once(child, 'close');
      child.kill('SIGTERM');
      await closed;
    },
  };
}
