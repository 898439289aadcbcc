/** The VMs of this host, as the daemon's feed shows them. */
import type { Change } from '../../change.ts';
import type { Domain, Domid } from '../../domain.ts';
import type { Uuid } from '../../uuid.ts';
import { namesNoVm } from '../../vm-uuid.ts';

export class HostMirror {
  readonly #uuids = new Map<Domid, Uuid>();
  /** Usually one; several in a migration on the same host. */
  readonly #domids = new Map<Uuid, Domid | readonly Domid[]>();

  /** Number of UUIDs. */
  get size(): number {
    return this.#domids.size;
  }

  has(uuid: Uuid): boolean {
    return this.#domids.has(uuid);
  }

  /** The domain that got the UUID last. */
  domidOf(uuid: Uuid): Domid | undefined {
    const domids = this.#domids.get(uuid);
    return typeof domids === 'object' ? domids.at(-1) : domids;
  }

  uuids(): Iterable<Uuid> {
    return this.#domids.keys();
  }

  /** Takes the changes. @returns the UUIDs that have another domain now, or none. */
  apply(changes: readonly Change[]): Set<Uuid> {
    const touched = new Set<Uuid>();
    for (const { domid, domain } of changes) this.#put(domid, domain, touched);
    return touched;
  }

  /** Replaces everything. @returns the UUIDs that have another domain now, or none. */
  replace(domains: readonly Domain[]): Set<Uuid> {
    const touched = new Set<Uuid>();
    const now = new Map(domains.map((domain) => [domain.domid, domain]));
    for (const domid of this.#uuids.keys()) {
      if (!now.has(domid)) this.#put(domid, undefined, touched);
    }
    for (const [domid, domain] of now) this.#put(domid, domain, touched);
    return touched;
  }

  #put(domid: Domid, domain: Domain | undefined, touched: Set<Uuid>): void {
    const before = this.#uuids.get(domid);
    const uuid =
      domain === undefined || domain.dying || namesNoVm(domain.uuid) ? undefined : domain.uuid;
    if (before === uuid) return;
    if (before !== undefined) {
      touched.add(before);
      this.#remove(before, domid);
    }
    if (uuid === undefined) {
      this.#uuids.delete(domid);
      return;
    }
    touched.add(uuid);
    this.#uuids.set(domid, uuid);
    const others = this.#domids.get(uuid);
    this.#domids.set(uuid, others === undefined ? domid : [...asArray(others), domid]);
  }

  #remove(uuid: Uuid, domid: Domid): void {
    const others = asArray(this.#domids.get(uuid)).filter((one) => one !== domid);
    const [first] = others;
    if (first === undefined) this.#domids.delete(uuid);
    else this.#domids.set(uuid, others.length === 1 ? first : others);
  }
}

function asArray(domids: Domid | readonly Domid[] | undefined): readonly Domid[] {
  if (domids === undefined) return [];
  return typeof domids === 'object' ? domids : [domids];
}
