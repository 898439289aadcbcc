/** The counters that matter, from the domains and from `stats`. */
import { find, make, setText } from './elements.ts';
import { bytesText, countText, rateText, type State, stateOf } from './format.ts';
import type { Vm } from './host.ts';

/** The part of `stats` that the page shows. */
export interface Stats {
  readonly lookups: Readonly<Record<'found' | 'notFound' | 'ambiguous' | 'unavailable', number>>;
  readonly sources: Readonly<Record<'list', number>>;
  readonly lists: Readonly<Record<string, number>>;
  readonly changes: number;
  readonly uptimeSeconds: number;
  readonly connections: { readonly open: number };
  readonly subscribers: number;
}

export class Counters {
  readonly #list = find('#counters');
  readonly #domains = this.#tile('Domains');
  readonly #memory = this.#tile('Memory');
  readonly #lookups = this.#tile('Look-ups');
  readonly #direct = this.#tile('Without list');
  readonly #lists = this.#tile('Lists');
  readonly #unavailable = this.#tile('Unavailable');
  readonly #clients = this.#tile('Clients');
  #previous: Stats | undefined;

  showDomains(vms: readonly Vm[]): void {
    const states: Record<State, number> = { running: 0, paused: 0, shutdown: 0, dying: 0 };
    let bytes = 0;
    for (const { domain } of vms) {
      states[stateOf(domain)]++;
      bytes += domain.memoryBytes;
    }
    const others = (['paused', 'shutdown', 'dying'] as const)
      .filter((state) => states[state] > 0)
      .map((state) => `${states[state]} ${state}`);
    this.#domains.show(countText(vms.length), others.join(', ') || 'all running');
    this.#memory.show(bytesText(bytes), 'held by them');
  }

  showStats(stats: Stats): void {
    // The service has started anew.
    if (this.#previous !== undefined && this.#previous.uptimeSeconds > stats.uptimeSeconds)
      this.#previous = undefined;
    const { lookups, sources, connections, subscribers } = stats;
    const seconds = stats.uptimeSeconds - (this.#previous?.uptimeSeconds ?? 0);
    const asked = total(lookups);
    const lists = total(stats.lists);
    const perSecond = (asked - total(this.#previous?.lookups ?? {})) / Math.max(seconds, 0.1);
    this.#lookups.show(`${rateText(perSecond)}/s`, `${countText(asked)} so far`);
    const share = lookups.found === 0 ? undefined : 1 - sources.list / lookups.found;
    this.#direct.show(
      share === undefined ? '-' : `${(Math.floor(share * 1000) / 10).toString()} %`,
      `of ${countText(lookups.found)} found`,
    );
    this.#lists.show(countText(lists), `${countText(stats.changes)} changes`);
    this.#unavailable.show(countText(lookups.unavailable), 'answers', lookups.unavailable > 0);
    this.#clients.show(countText(connections.open), `${countText(subscribers)} subscribed`);
    this.#previous = stats;
  }

  #tile(title: string): Tile {
    const tile = new Tile(title);
    this.#list.append(tile.element);
    return tile;
  }
}

class Tile {
  readonly element = make('div');
  readonly #value = make('dd', 'value', '-');
  readonly #note = make('dd', 'note');

  constructor(title: string) {
    this.element.append(make('dt', '', title), this.#value, this.#note);
  }

  show(value: string, note: string, isAlarm = false): void {
    setText(this.#value, value);
    setText(this.#note, note);
    this.element.dataset['alarm'] = String(isAlarm);
  }
}

function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
