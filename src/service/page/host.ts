/** The domains of the host, as the feed reports them. */
import type { Change } from '../../change.ts';
import type { Domain } from '../../domain.ts';

export interface Vm {
  readonly domain: Domain;
  /** From xenstore; undefined until it has been read. A guest can write it. */
  readonly name: string | undefined;
}

export interface NamedDomain extends Domain {
  readonly name?: string;
}

export class Host {
  readonly #vms = new Map<number, Vm>();

  get vms(): readonly Vm[] {
    return [...this.#vms.values()];
  }

  nameOf({ domid, uuid }: Pick<Domain, 'domid' | 'uuid'>): string | undefined {
    const vm = this.#vms.get(domid);
    return vm?.domain.uuid === uuid ? vm.name : undefined;
  }

  apply({ domid, domain }: Change): void {
    if (domain === undefined) this.#vms.delete(domid);
    else this.#vms.set(domid, { domain, name: this.nameOf(domain) });
  }

  /** Returns the domains that came and went until a snapshot, as changes. */
  changesTo(domains: readonly Domain[]): Change[] {
    const now = new Map<number, Domain>(domains.map((domain) => [domain.domid, domain]));
    const gone = this.vms.filter(({ domain }) => now.get(domain.domid)?.uuid !== domain.uuid);
    const came = domains.filter(({ domid, uuid }) => this.#vms.get(domid)?.domain.uuid !== uuid);
    return [
      ...gone.map(({ domain: previous }): Change => {
        const { domid, uuid } = previous;
        return { kind: 'destroyed', domid, uuid, previous };
      }),
      ...came.map((domain): Change => {
        const { domid, uuid } = domain;
        return { kind: 'created', domid, uuid, domain };
      }),
    ];
  }

  /** Takes a snapshot. */
  replace(domains: readonly Domain[]): void {
    const vms = domains.map((domain): Vm => ({ domain, name: this.nameOf(domain) }));
    this.#vms.clear();
    for (const vm of vms) this.#vms.set(vm.domain.domid, vm);
  }

  /**
   * Takes names, and the values that the feed does not report. Which domains exist, and their states, only the feed
   * says: the list may be older or newer.
   */
  describe(domains: readonly NamedDomain[]): void {
    for (const { domid, uuid, name, vcpus, memoryBytes, cpuTimeSeconds } of domains) {
      const vm = this.#vms.get(domid);
      if (vm?.domain.uuid !== uuid) continue;
      const domain = { ...vm.domain, vcpus, memoryBytes, cpuTimeSeconds };
      this.#vms.set(domid, { domain, name: name ?? vm.name });
    }
  }
}
