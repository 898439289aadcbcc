/** One round of questions about one UUID, to some hosts and then to the others. */
import { onAbort } from '../abort.ts';
import { after } from '../timeout.ts';
import type { Uuid } from '../uuid.ts';
import type { HostName } from './names.ts';
import { silent, type Word, type Words } from './words.ts';

/** The end of one look-up, for all its rounds. */
export interface Limit {
  /** By `performance.now()`. */
  readonly endsMs: number;
  /** The caller's. */
  readonly signal: AbortSignal | undefined;
}

export function isOver({ endsMs, signal }: Limit): boolean {
  return signal?.aborted === true || performance.now() >= endsMs;
}

/** How long the others may still answer when one host has confirmed the VM, ms: a second holder makes it ambiguous. */
const OTHERS_MS = 100;

export class Round {
  /** By `performance.now()`. */
  readonly beganMs: number = performance.now();
  readonly #words: Words;
  readonly #uuid: Uuid;
  readonly #limit: Limit;
  /** By host; undefined without an answer yet. */
  readonly #answers = new Map<HostName, Word | undefined>();
  #pending = 0;
  #hasHolder = false;
  #wake: () => void = () => undefined;

  constructor(words: Words, uuid: Uuid, limit: Limit) {
    this.#words = words;
    this.#uuid = uuid;
    this.#limit = limit;
  }

  /** Whether a host has confirmed the VM. */
  get hasHolder(): boolean {
    return this.#hasHolder;
  }

  /** The answers; a host that has not answered is silent. */
  get words(): Word[] {
    return Array.from(this.#answers, ([host, word]) => word ?? silent(host, 'timeout'));
  }

  /**
   * Asks the hosts that have not been asked in this round.
   * @returns when all have answered, `patienceMs` has passed, a host has confirmed the VM and the others have had their
   *   moment, or the look-up is over.
   */
  ask(hosts: Iterable<HostName>, patienceMs: number, othersMs: number = OTHERS_MS): Promise<void> {
    const timeoutMs = this.#limit.endsMs - performance.now();
    for (const host of hosts) {
      if (this.#answers.has(host)) continue;
      this.#answers.set(host, undefined);
      this.#pending++;
      void this.#words.ask(host, this.#uuid, timeoutMs).then((word) => this.#take(word));
    }
    return this.#settled(Math.min(patienceMs, timeoutMs), othersMs);
  }

  /**
   * Asks those of `hosts` that have the VM, in one question for all. The first answer is taken if it confirms the VM.
   * @returns when it has arrived, `patienceMs` has passed, or the look-up is over.
   */
  askHolder(hosts: ReadonlySet<HostName>, patienceMs: number): Promise<void> {
    const timeoutMs = Math.min(patienceMs, this.#limit.endsMs - performance.now());
    this.#pending++;
    void this.#words.askHolder(this.#uuid, timeoutMs).then((word) => {
      // Another bridge that has the VM received the request too. With its reply subject it could have a host answer about
      // another VM, so only an answer that confirms this VM counts.
      const isTaken = word !== undefined && hasVm(word) && hosts.has(word.host);
      this.#take(isTaken ? word : undefined);
    });
    return this.#settled(timeoutMs, OTHERS_MS);
  }

  #take(word: Word | undefined): void {
    if (word !== undefined) {
      this.#answers.set(word.host, word);
      this.#hasHolder ||= hasVm(word);
    }
    this.#pending--;
    this.#wake();
  }

  #settled(patienceMs: number, othersMs: number): Promise<void> {
    const limit = this.#limit;
    return new Promise((resolve) => {
      let stopOthers: (() => void) | undefined;
      const finish = (): void => {
        this.#wake = () => undefined;
        stopOthers?.();
        stopPatience();
        removeAbort();
        resolve();
      };
      const stopPatience = after(patienceMs, finish);
      const removeAbort = onAbort(limit.signal, finish);
      this.#wake = () => {
        if (this.#pending === 0 || isOver(limit)) finish();
        else if (this.#hasHolder) stopOthers ??= after(othersMs, finish);
      };
      this.#wake();
    });
  }
}

/** Whether the host has confirmed the VM. */
export function hasVm({ result }: Word): boolean {
  return result.status === 'found' || result.status === 'ambiguous';
}
