/** A line for each change, the newest first. */
import type { Change } from '../../change.ts';
import { find, make } from './elements.ts';
import { clockText } from './format.ts';
import type { Host } from './host.ts';

const LINES_MAX = 500;

/** A line of the page that lacks the name of its domain. The next list has the name. */
interface Nameless {
  readonly change: Change;
  readonly name: Element;
}

export class ChangeLines {
  readonly #list = find('#changes ol');
  readonly #quiet = find('#changes .quiet');
  readonly #host: Host;
  #nameless: Nameless[] = [];

  constructor(host: Host) {
    this.#host = host;
  }

  /** @param name of the domain before the change. */
  add(change: Change, name: string | undefined): void {
    const { kind, domid, uuid, domain, previous } = change;
    const nameElement = make('strong', '', name);
    const who = make('span', 'who');
    who.append(`${domid} `, nameElement);
    if (kind === 'shutdown') who.append(` ${domain?.shutdownReason ?? ''}`);
    if (kind === 'renamed') who.append(` was ${previous?.uuid ?? ''}`);
    this.#addLine(kind, who, make('span', 'uuid', uuid));
    if (name === undefined) this.#nameless.push({ change, name: nameElement });
  }

  /** Adds a line about the page's own connection. */
  note(kind: string, text: string): void {
    this.#addLine(kind, make('span', 'who', text));
  }

  /** Adds names that have been read since. */
  showNames(): void {
    this.#nameless = this.#nameless.filter(({ change, name }) => {
      name.textContent = this.#host.nameOf(change) ?? '';
      return name.textContent === '' && name.isConnected;
    });
  }

  #addLine(kind: string, ...details: readonly Element[]): void {
    const line = make('li');
    line.dataset['kind'] = kind;
    const time = new Date();
    const clock = make('time', '', clockText(time));
    clock.dateTime = time.toISOString();
    line.append(clock, make('span', 'kind', kind), ...details);
    this.#list.prepend(line);
    if (this.#list.childElementCount > LINES_MAX) this.#list.lastElementChild?.remove();
    this.#quiet.hidden = true;
  }
}
