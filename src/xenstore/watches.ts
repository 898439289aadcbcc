/** Watches as Observables. */
import { Observable } from '../rxjs.ts';
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
   * Returns the events of a watch: of changes at and below `path`, of removals above it, or of a special path,
   * `@introduceDomain` or `@releaseDomain`. Each subscription sets its own watch, and removes it on unsubscribe. The daemon
   * sends the first event at once, with `path` itself, even if the node does not exist.
   *
   * Fails with `ERR_INVALID_PATH`, with `ERR_XENSTORE_REPLY` if the daemon answers with an error, and with the
   * connection's reason when that ends; never completes. There is no backpressure: the socket is always read, and a
   * subscriber must drop or buffer the events that it cannot handle at once.
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
      // Never throws: RxJS reports the errors of subscribers later, as uncaught.
      event: (eventPath) => subscriber.next({ path: eventPath }),
      end: (reason) => subscriber.error(reason),
    });
    // Path, then token, in WATCH and in UNWATCH. With the reverse order UNWATCH fails, and the watch stays.
    const payload = `${path}\0${token}\0`;
    let refused = false;
    connection.request(XsdType.WATCH, NO_TRANSACTION, payload, done).catch((error: unknown) => {
      refused = true;
      subscriber.error(error);
    });
    return () => {
      connection.unlisten(token);
      // Sent even before the reply to WATCH: the daemon handles requests in order. An error means that the watch is gone.
      if (!refused)
        connection.request(XsdType.UNWATCH, NO_TRANSACTION, payload, done).catch(() => undefined);
    };
  });
}
