/** The feed of one host for one subscriber: published runs, and a request wherever some are missing. */
import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '../backoff.ts';
import type { ChangesBatch, SnapshotBatch, Token } from '../change.ts';
import { readParts } from './feed-messages.ts';
import type { HostRequests } from './host-requests.ts';
import type { HostName } from './names.ts';
import { changesAfter, parsePosition, type Position, type Run, tokenOf } from './position.ts';

export interface HostFollowerOptions {
  readonly host: HostName;
  /** Token after which to begin. */
  readonly token: Token | undefined;
  readonly requests: HostRequests;
  /** Takes a batch. Returns whether there is room for more. */
  readonly onBatch: (batch: SnapshotBatch | ChangesBatch) => boolean;
}

const FETCH_MS = 30_000;
const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 5000;
/** Runs kept while a request is pending. With more, a later request fetches them. */
const HELD_RUNS_MAX = 256;

export class HostFollower {
  readonly #options: HostFollowerOptions;
  readonly #closing = new AbortController();
  #position: Position | undefined;
  /** Runs that arrived while a request was pending. */
  #held: Run[] = [];
  #isFetching = false;
  /** The reader is slow: nothing is taken until it has room. */
  #isFull = false;

  constructor(options: HostFollowerOptions) {
    this.#options = options;
    this.#position = parsePosition(options.token);
    void this.#fetch();
  }

  /** Takes a published run. */
  take(run: Run): void {
    if (this.#isFull) return;
    if (this.#isFetching) {
      if (this.#held.length < HELD_RUNS_MAX) this.#held.push(run);
      return;
    }
    if (!this.#apply(run)) void this.#fetch();
  }

  /** Compares the position with the one that the host has announced. */
  check(announced: Position): void {
    if (this.#isFull || this.#isFetching || this.#position === undefined) return;
    const { epoch, revision } = this.#position;
    if (epoch !== announced.epoch || revision < announced.revision) void this.#fetch();
  }

  /** The reader has room again. */
  resume(): void {
    if (!this.#isFull) return;
    this.#isFull = false;
    void this.#fetch();
  }

  close(): void {
    this.#closing.abort();
  }

  /** Returns false if changes before the run are missing. */
  #apply(run: Run): boolean {
    if (this.#position === undefined) return false;
    const changes = changesAfter(this.#position, run);
    if (changes === 'gap') return false;
    if (changes !== 'old') {
      const conflated = run.changes.length !== run.to.revision - run.after.revision;
      this.#deliver({ kind: 'changes', changes, conflated, token: tokenOf(run.to) });
    }
    return true;
  }

  #deliver(batch: SnapshotBatch | ChangesBatch): void {
    this.#position = parsePosition(batch.token);
    if (!this.#options.onBatch(batch)) this.#isFull = true;
  }

  /** Asks the host for all after the position, until it answers. */
  async #fetch(): Promise<void> {
    if (this.#isFetching) return;
    this.#isFetching = true;
    const { signal } = this.#closing;
    let attempts = 0;
    while (!signal.aborted && !(await this.#fetchOnce())) {
      attempts++;
      const delayMs = backoffMs(attempts, RETRY_FIRST_MS, RETRY_MAX_MS);
      await sleep(delayMs, undefined, { signal }).catch(() => undefined);
    }
    this.#isFetching = false;
    const held = this.#held.splice(0);
    if (signal.aborted || this.#isFull) return;
    for (const run of held) if (!this.#apply(run)) return void this.#fetch();
  }

  async #fetchOnce(): Promise<boolean> {
    const { host, requests } = this.#options;
    const before = this.#position;
    const params = before === undefined ? '{}' : JSON.stringify({ token: tokenOf(before) });
    const reply = await requests.askParts(host, 'feed', params, FETCH_MS);
    if ('cause' in reply || this.#closing.signal.aborted) return false;
    try {
      const { kind, domains, changes, conflated, token } = readParts(reply.parts);
      if (kind === 'snapshot')
        this.#deliver({ kind: before === undefined ? 'snapshot' : 'resync', domains, token });
      else if (changes.length > 0) this.#deliver({ kind, changes, conflated, token });
      else this.#position = parsePosition(token);
      return true;
    } catch {
      return false;
    }
  }
}
