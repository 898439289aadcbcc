/** `xen-domid list --watch`: a table that is redrawn in place as domains come and go. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { InventoryClient } from '../../client/client.ts';
import type { ListedDomain } from '../../results.ts';
import type { XenError } from '../../xen-error.ts';
import { connect, type ConnectOptions } from '../connect.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { isColourWanted } from '../terminal/colour.ts';
import { errorText } from '../terminal/error-text.ts';
import { Screen } from '../terminal/screen.ts';
import { formatTable } from '../terminal/table.ts';
import { fitText } from '../terminal/text-width.ts';

/** Between two lists. The first change after a quiet time is shown at once. */
const REDRAW_MS = 500;
/** Share of the time that lists with names take at most: each name is a request to xenstored. */
const LISTS_SHARE = 0.2;

/** The size of a terminal that does not report it. */
const SIZE = { columns: 80, rows: 24 } as const;

type Arrange = (domains: readonly ListedDomain[]) => readonly ListedDomain[];

/** @param arrange picks and sorts the domains to show. */
export async function watchList(
  io: Io,
  options: ConnectOptions,
  arrange: Arrange,
): Promise<ExitStatus> {
  const client = await connect(io, options);
  const screen = new Screen(io.out);
  const interrupted = io.interrupted();
  try {
    await new ListWatch(io, client, screen, arrange, interrupted).run();
    return ExitStatus.done;
  } finally {
    screen.close();
    await client.close();
  }
}

class ListWatch {
  readonly #io: Io;
  readonly #client: InventoryClient;
  readonly #screen: Screen;
  readonly #arrange: Arrange;
  readonly #interrupted: AbortSignal;
  #domains: readonly ListedDomain[] = [];
  #notice = '';
  /** Resolves the pending wait for a change. */
  #wake: () => void = () => undefined;
  #changed = false;

  constructor(
    io: Io,
    client: InventoryClient,
    screen: Screen,
    arrange: Arrange,
    interrupted: AbortSignal,
  ) {
    this.#io = io;
    this.#client = client;
    this.#screen = screen;
    this.#arrange = arrange;
    this.#interrupted = interrupted;
  }

  /** Ends when interrupted. @throws XenError if there is no service at the beginning. */
  async run(): Promise<void> {
    const ended = new AbortController();
    this.#io.onResize(() => this.#draw(), ended.signal);
    this.#interrupted.addEventListener('abort', () => this.#wake());
    const following = this.#follow();
    try {
      await Promise.race([following, this.#redraw()]);
    } finally {
      ended.abort();
    }
  }

  /** Notes each change. Rejects if the first connection fails. */
  async #follow(): Promise<void> {
    const batches = this.#client.subscribe({
      signal: this.#interrupted,
      onDisconnected: (error) => this.#say(`Reconnecting: ${errorText(error)}`),
      onConnected: () => this.#say(''),
    });
    for await (const _ of batches) this.#note();
  }

  async #redraw(): Promise<void> {
    while (!this.#interrupted.aborted) {
      // oxlint-disable no-await-in-loop -- one list after another
      await this.#untilChange();
      this.#changed = false;
      await this.#list();
      // Once more: a toolstack may give a domain its name after its UUID.
      if (!this.#changed) await this.#list();
      // oxlint-enable no-await-in-loop
    }
  }

  /** Lists and draws, then waits until the next list may begin. */
  async #list(): Promise<void> {
    const signal = this.#interrupted;
    const beganMs = performance.now();
    try {
      this.#domains = (await this.#client.list({ names: true, signal })).domains;
      this.#draw();
    } catch (error) {
      // The subscription reports the loss of the service, and its return.
      if (!signal.aborted) this.#say(errorText(error as XenError));
    }
    const pauseMs = Math.max(REDRAW_MS, (performance.now() - beganMs) * (1 / LISTS_SHARE - 1));
    await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
  }

  async #untilChange(): Promise<void> {
    if (this.#changed || this.#interrupted.aborted) return;
    await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  #note(): void {
    this.#changed = true;
    this.#wake();
  }

  #say(notice: string): void {
    this.#notice = notice;
    this.#draw();
  }

  #draw(): void {
    const { columns = SIZE.columns, rows = SIZE.rows } = {
      columns: this.#io.columns(),
      rows: this.#io.rows(),
    };
    const domains = this.#arrange(this.#domains);
    const colour = isColourWanted(this.#io);
    const table = formatTable(domains, { columns, colour }).trimEnd().split('\n');
    const room = Math.max(2, rows - 2);
    const shown =
      table.length > room ? [...table.slice(0, room - 1), more(table.length - room + 1)] : table;
    const status = this.#notice === '' ? `${domains.length} domains, Ctrl-C ends` : this.#notice;
    this.#screen.draw([...shown, '', fitText(status, columns)].slice(-rows));
  }
}

function more(count: number): string {
  return `... ${count} more`;
}
