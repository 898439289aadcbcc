/** Who watches which path of a simulated xenstore, and which of them a change concerns. */
import { ROOT, type StoreChange } from './store-tree.ts';

export interface Watch {
  readonly path: string;
  readonly token: string;
  /** Most levels below `path` that it hears of; undefined: all. */
  readonly depth: number | undefined;
  /** Sends an event with this path. */
  readonly send: (eventPath: string) => void;
}

/** The watches that tell of domains, and not of nodes. */
export type SpecialPath = '@introduceDomain' | '@releaseDomain';

export class StoreWatches {
  readonly #byPath = new Map<string, Set<Watch>>();
  /** oxenstored tells a watch below a removed node even where nothing was; C only where its node went. */
  readonly #tellsOfMissing: boolean;
  /** `@releaseDomain/7` is a path that events come for; before, it was taken and nothing ever came. */
  readonly #namesDomains: boolean;

  constructor(daemon: { readonly tellsOfMissing: boolean; readonly namesDomains: boolean }) {
    this.#tellsOfMissing = daemon.tellsOfMissing;
    this.#namesDomains = daemon.namesDomains;
  }

  add(watch: Watch): void {
    const watches = this.#byPath.get(watch.path);
    if (watches === undefined) this.#byPath.set(watch.path, new Set([watch]));
    else watches.add(watch);
  }

  remove(watch: Watch): void {
    const watches = this.#byPath.get(watch.path);
    watches?.delete(watch);
    if (watches?.size === 0) this.#byPath.delete(watch.path);
  }

  fire({ path, removed }: StoreChange): void {
    let distance = 0;
    for (let above = path; ; distance++) {
      for (const watch of this.#byPath.get(above) ?? []) {
        if (watch.depth === undefined || distance <= watch.depth) watch.send(path);
      }
      if (above === ROOT) break;
      const slash = above.lastIndexOf('/');
      above = slash === 0 ? ROOT : above.slice(0, slash);
    }
    if (removed !== undefined) this.#fireBelow(path, removed);
  }

  /** Special watches match exactly; their events name the domain only where the watch asked for it (C, 4.22 on). */
  fireSpecial(path: SpecialPath, domid: number): void {
    const named = `${path}/${domid}`;
    for (const { depth, send } of this.#byPath.get(path) ?? []) {
      if (depth === undefined) send(path);
      else if (depth > 0) send(named);
    }
    if (!this.#namesDomains) return;
    for (const { send } of this.#byPath.get(named) ?? []) send(named);
  }

  /** A watch below what was removed hears of its own path, once. */
  #fireBelow(path: string, removed: readonly string[]): void {
    if (this.#tellsOfMissing) {
      for (const [watched, watches] of this.#byPath) {
        if (watched.startsWith(`${path}/`)) for (const { send } of watches) send(watched);
      }
      return;
    }
    for (const gone of removed) {
      if (gone === path) continue;
      for (const { send } of this.#byPath.get(gone) ?? []) send(gone);
    }
  }
}
