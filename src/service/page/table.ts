/** The table of domains: sorted by a column, filtered by a text, a row for each domain. */
import { find, make, setText } from './elements.ts';
import { bytesText, durationText, stateOf, stateText } from './format.ts';
import type { Vm } from './host.ts';

interface Column {
  readonly title: string;
  readonly className: string;
  readonly isNumber?: true;
  readonly key: (vm: Vm) => string | number;
  /** Default: the key. */
  readonly text?: (vm: Vm) => string;
}

const COLUMNS: readonly Column[] = [
  { title: 'Name', className: 'name', key: ({ name }) => name ?? '' },
  { title: 'ID', className: 'domid', isNumber: true, key: ({ domain }) => domain.domid },
  { title: 'State', className: 'state', key: ({ domain }) => stateText(domain) },
  {
    title: 'Memory',
    className: 'memory',
    isNumber: true,
    key: ({ domain }) => domain.memoryBytes,
    text: ({ domain }) => bytesText(domain.memoryBytes),
  },
  { title: 'vCPUs', className: 'vcpus', isNumber: true, key: ({ domain }) => domain.vcpus },
  {
    title: 'CPU time',
    className: 'cpu',
    isNumber: true,
    key: ({ domain }) => domain.cpuTimeSeconds,
    text: ({ domain }) => durationText(domain.cpuTimeSeconds),
  },
  { title: 'UUID', className: 'uuid', key: ({ domain }) => domain.uuid },
];
const BY_DOMID = 1;

const collator = new Intl.Collator('en', { numeric: true });

export class Table {
  readonly #body = find('#domains tbody');
  readonly #empty = find('#empty');
  readonly #filter = find('#filter') as HTMLInputElement;
  readonly #headings: readonly HTMLTableCellElement[];
  readonly #rows = new Map<number, Row>();
  #sortedBy = BY_DOMID;
  #isDescending = false;

  /** @param onOrder called when the user has chosen another order or filter. */
  constructor(onOrder: () => void) {
    this.#headings = COLUMNS.map((column, index) => {
      const heading = make('th', classOf(column));
      heading.scope = 'col';
      const button = make('button', '', column.title);
      button.type = 'button';
      button.addEventListener('click', () => {
        this.#isDescending = this.#sortedBy === index && !this.#isDescending;
        this.#sortedBy = index;
        this.#markOrder();
        onOrder();
      });
      heading.append(button);
      return heading;
    });
    find('#domains thead tr').append(...this.#headings);
    this.#markOrder();
    this.#filter.addEventListener('input', () => onOrder());
  }

  /** @param isNew tells whether to point out the row of a domain that has none yet. */
  show(vms: readonly Vm[], isNew: (vm: Vm) => boolean): void {
    const shown = this.#ordered(this.#filtered(vms));
    const domids = new Set<number>(shown.map(({ domain }) => domain.domid));
    for (const [domid, row] of this.#rows) {
      if (domids.has(domid)) continue;
      row.element.remove();
      this.#rows.delete(domid);
    }
    let at = this.#body.firstElementChild;
    for (const vm of shown) {
      let row = this.#rows.get(vm.domain.domid);
      if (row === undefined) this.#rows.set(vm.domain.domid, (row = new Row(isNew(vm))));
      row.show(vm);
      if (row.element === at) at = at.nextElementSibling;
      else this.#body.insertBefore(row.element, at);
    }
    setText(this.#empty, vms.length === 0 ? 'The host has no VMs.' : 'No domain has this text.');
    this.#empty.toggleAttribute('hidden', shown.length > 0);
  }

  #filtered(vms: readonly Vm[]): readonly Vm[] {
    const wanted = this.#filter.value.trim().toLowerCase();
    if (wanted === '') return vms;
    return vms.filter(
      ({ name, domain }) =>
        String(domain.domid) === wanted ||
        [name ?? '', domain.uuid, stateText(domain)].some((text) =>
          text.toLowerCase().includes(wanted),
        ),
    );
  }

  #ordered(vms: readonly Vm[]): Vm[] {
    const key = COLUMNS[this.#sortedBy]?.key ?? (() => 0);
    const sign = this.#isDescending ? -1 : 1;
    return vms.toSorted(
      (one, other) => sign * compare(key(one), key(other)) || one.domain.domid - other.domain.domid,
    );
  }

  #markOrder(): void {
    this.#headings.forEach((heading, index) => {
      if (index !== this.#sortedBy) heading.removeAttribute('aria-sort');
      else heading.ariaSort = this.#isDescending ? 'descending' : 'ascending';
    });
  }
}

class Row {
  readonly element = make('tr');
  /** The elements with the text of each column. */
  readonly #texts: readonly Element[];

  constructor(isNew: boolean) {
    this.#texts = COLUMNS.map((column) => {
      const cell = make('td', classOf(column));
      const text = make('span');
      cell.append(text);
      this.element.append(cell);
      return text;
    });
    if (!isNew) return;
    this.element.className = 'new';
    // Another place in the table would start the animation again.
    this.element.addEventListener('animationend', () => (this.element.className = ''));
  }

  show(vm: Vm): void {
    COLUMNS.forEach(({ key, text }, index) => {
      const element = this.#texts[index];
      if (element !== undefined) setText(element, text?.(vm) ?? String(key(vm)));
    });
    this.element.dataset['state'] = stateOf(vm.domain);
  }
}

function classOf({ className, isNumber }: Column): string {
  return isNumber === true ? `${className} number` : className;
}

function compare(one: string | number, other: string | number): number {
  if (typeof one === 'number' && typeof other === 'number') return one - other;
  return collator.compare(String(one), String(other));
}
