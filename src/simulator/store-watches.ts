/** The watches of a simulated xenstore by path, and the selection of those that a change must notify. */
import { ROOT, type StoreChange } from './store-tree.ts';

export interface Watch {
  readonly path: string;
  readonly token: string;
  /** Number of levels below `path` whose changes send an event; undefined for all. */
  readonly depth: number | undefined;
  /** Sends an event with this path. */
  readonly send: (eventPath: string) => void;
}

/** The watch paths that announce domains, not nodes. */
export type SpecialPath = '@introduceDomain' | '@releaseDomain';

export class StoreWatches {
  readonly #byPath = new Map<string, Set<Watch>>();
  /**
   * Whether a watch below a removed node gets an event even if its own node did not exist. oxenstored sends it; C
   * xenstored sends one only if the node existed.
   */
  readonly #notifiesMissing: boolean;
  /** Whether a watch on `@releaseDomain/7` gets events. Older daemons accept the watch but never send one. */
  readonly #namesDomains: boolean;

  constructor(daemon: { readonly notifiesMissing: boolean; readonly namesDomains: boolean }) {
    this.#notifiesMissing = daemon.notifiesMissing;
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

  /** Special watches match exactly. An event names the domain only if the watch was set with a depth (C, since 4.22). */
  fireSpecial(path: SpecialPath, domid: number): void {
    const named = `${path}/${domid}`;
    for (const { depth, send } of this.#byPath.get(path) ?? []) {
      if (depth === undefined) send(path);
      else if (depth > 0) send(named);
    }
    if (!this.#namesDomains) return;
    for (const { send } of this.#byPath.get(named) ?? []) send(named);
  }

  /** Sends each watch below a removed node one event, with the watch's own path. */
  #fireBelow(path: string, removed: readonly string[]): void {
    if (this.#notifiesMissing) {
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
