/** The connection to xenstore, made again whenever it ends, and whether it is there. */
import { BehaviorSubject, type Observable, type Subscription } from '../rxjs.ts';
import type { XenstoreReader } from '../xenstore/reader.ts';
import type { EventLists } from './event-lists.ts';
import type { Hints } from './hints.ts';
import type { Lists } from './lists.ts';
import { followXenstore, type XenstoreSession } from './pipeline.ts';

export interface XenstoreState {
  /** Both watches are set, and xenstored answers: changes are noticed at once. */
  readonly connected: boolean;
  /** Why it is not connected; undefined while it is, and before the first attempt has ended. */
  readonly reason?: string;
}

export interface XenstoreLinkOptions {
  readonly lists: Lists;
  readonly hints: Hints;
  readonly eventLists: EventLists;
}

/** Keeps a connection to xenstore. Passes its events to {@link EventLists}, and the connection itself to {@link Hints}. */
export class XenstoreLink {
  /** Connections that ended after both watches were set. */
  disconnects = 0;
  readonly #parts: XenstoreLinkOptions;
  readonly #state$ = new BehaviorSubject<XenstoreState>({ connected: false });
  #pipeline: Subscription | undefined;

  constructor(parts: XenstoreLinkOptions) {
    this.#parts = parts;
  }

  /** The present state, and each later one. */
  get state$(): Observable<XenstoreState> {
    return this.#state$;
  }

  get connected(): boolean {
    return this.#state$.value.connected;
  }

  /** The connection; undefined while there is none. */
  get reader(): XenstoreReader | undefined {
    return this.#parts.hints.xenstore;
  }

  /** Connects, and again whenever the connection ends. */
  follow(open: () => Promise<XenstoreSession>): void {
    const { lists, hints, eventLists } = this.#parts;
    this.#pipeline = followXenstore({
      open,
      onConnected: (xenstore) => {
        hints.xenstore = xenstore;
        this.#state$.next({ connected: true });
        lists.want('connect', 0);
      },
      onDisconnected: (error) => {
        if (hints.xenstore !== undefined) this.disconnects++;
        hints.xenstore = undefined;
        const reason = error instanceof Error ? error.message : String(error);
        this.#state$.next({ connected: false, reason });
      },
      onAnswering: (answering) => {
        if (!answering)
          this.#state$.next({
            connected: false,
            reason: 'xenstored is connected, but does not answer',
          });
        else if (hints.xenstore !== undefined) this.#state$.next({ connected: true });
      },
      onIntroduced: (events) => eventLists.introduced(events),
      onReleased: (events) => eventLists.released(events),
    }).subscribe();
  }

  close(): void {
    this.#pipeline?.unsubscribe();
    this.#state$.complete();
  }
}
