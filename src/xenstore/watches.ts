/** Watches as Observables. The one file of this room that loads RxJS. */
import { Observable } from 'rxjs';
import { type ConnectOptions, XenstoreConnection } from './connection.ts';
import { XsdType } from './messages.ts';
import { checkWatchPath } from './paths.ts';
import type { WatchEvent, XenstoreReader } from './reader.ts';
import { done, NO_TRANSACTION } from './verbs.ts';
import { Xenstore } from './xenstore.ts';

/** {@link Xenstore} with watches. */
export class WatchableXenstore extends Xenstore implements XenstoreReader {
  readonly #connection: XenstoreConnection;

  constructor(connection: XenstoreConnection) {
    super(connection);
    this.#connection = connection;
  }

  /** @throws XenError `ERR_XENSTORE_UNREACHABLE` with the paths tried and what to do. */
  static override async open(options: ConnectOptions = {}): Promise<WatchableXenstore> {
    return new WatchableXenstore(await XenstoreConnection.open(options));
  }

  /**
   * Events at, below and (removals) above `path`, or of a special watch, `@introduceDomain` or
   * `@releaseDomain`. Each subscription is a watch of its own, set on subscribe and taken back on
   * unsubscribe. The daemon sends a first event at once, with `path` itself, whether the node exists or not.
   *
   * Fails with `ERR_INVALID_PATH`, with `ERR_XENSTORE_REPLY` where the daemon refuses, and with the
   * connection's own reason when that ends; it never completes. Events are handed on as they are read: what
   * a subscriber cannot take at once it has to drop or keep itself. The socket is not kept waiting for it.
   */
  watch(path: string): Observable<WatchEvent> {
    return watch(this.#connection, path);
  }
}

/** See {@link WatchableXenstore.watch}. */
export function watch(connection: XenstoreConnection, path: string): Observable<WatchEvent> {
  return new Observable((subscriber) => {
    checkWatchPath(path);
    const token = connection.listen({
      event: (eventPath) => subscriber.next({ path: eventPath }),
      end: (reason) => subscriber.error(reason),
    });
    if (subscriber.closed) return undefined;
    // Path, then token, in both (F14: UNWATCH the other way round is refused, and the watch stays for good).
    const payload = `${path}\0${token}\0`;
    let refused = false;
    connection.request(XsdType.WATCH, NO_TRANSACTION, payload, done).catch((error: unknown) => {
      refused = true;
      subscriber.error(error);
    });
    return () => {
      connection.unlisten(token);
      // Sent even before WATCH is answered: the daemon takes them in order. A watch that is gone already is what was wanted.
      if (!refused)
        connection.request(XsdType.UNWATCH, NO_TRANSACTION, payload, done).catch(() => undefined);
    };
  });
}
