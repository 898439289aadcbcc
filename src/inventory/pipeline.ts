/** Turns xenstore's events into looks: connects, sets the watches, reports events, and reconnects when the connection ends. */
import {
  combineLatest,
  distinctUntilChanged,
  ignoreElements,
  interval,
  map,
  merge,
  Observable,
  type OperatorFunction,
  retry,
  share,
  skip,
  startWith,
  switchMap,
  take,
  tap,
  timer,
} from '../rxjs.ts';
import { backoffMs } from '../backoff.ts';
import type { XenstoreReader } from '../xenstore/reader.ts';

/** A connection to xenstore that its user closes. */
export interface XenstoreSession extends XenstoreReader {
  /** Ends the connection; pending requests fail. */
  close(): Promise<void>;
}

export interface PipelineOptions {
  readonly open: () => Promise<XenstoreSession>;
  /** Both watches are set, and their first events have come: from here on no event is missed. */
  readonly onConnected: (xenstore: XenstoreReader) => void;
  /** The connection ended, or could not be made. */
  readonly onDisconnected: (reason: unknown) => void;
  /** The connection stays, but requests have gone unanswered for some seconds; or they are answered again. */
  readonly onAnswering: (answering: boolean) => void;
  /** Called with the number of events read in one turn. Events carry no domid, but a look that begins now shows their cause. */
  readonly onIntroduced: (events: number) => void;
  readonly onReleased: (events: number) => void;
}

const RECONNECT_FIRST_MS = 50;
const RECONNECT_MAX_MS = 10_000;

const CHECK_MS = 1000;
/** A request that is unanswered for longer is noticed at the next check: within 5 s. */
const SILENT_MS = 4000;
/** Checks between two requests that are made only to see whether they are answered. */
const CHECKS_A_PROBE = 30;

/** Emits when a connection has both watches. Never completes: reconnects with increasing delays. */
export function followXenstore(options: PipelineOptions): Observable<void> {
  return connection(options.open).pipe(
    switchMap((xenstore) => session(xenstore, options)),
    tap({ error: options.onDisconnected }),
    retry({
      delay: (_, tries) => timer(backoffMs(tries, RECONNECT_FIRST_MS, RECONNECT_MAX_MS)),
      resetOnSuccess: true,
    }),
  );
}

function session(xenstore: XenstoreReader, options: PipelineOptions): Observable<void> {
  const introduced$ = xenstore.watch('@introduceDomain').pipe(share());
  const released$ = xenstore.watch('@releaseDomain').pipe(share());
  // A watch's first event says only that it is set.
  const ready$ = combineLatest([introduced$.pipe(take(1)), released$.pipe(take(1))]);

  return merge(
    introduced$.pipe(skip(1), countPerTurn(), tap(options.onIntroduced), ignoreElements()),
    released$.pipe(skip(1), countPerTurn(), tap(options.onReleased), ignoreElements()),
    answering(xenstore).pipe(tap(options.onAnswering), ignoreElements()),
    ready$.pipe(map(() => options.onConnected(xenstore))),
  );
}

/**
 * Emits false when xenstored answers no more, and true when it does again. The connection is kept: during a live update
 * xenstored answers nothing for up to a minute, and then everything.
 */
function answering(xenstore: XenstoreReader): Observable<boolean> {
  return interval(CHECK_MS).pipe(
    tap((checks) => {
      if (checks % CHECKS_A_PROBE === CHECKS_A_PROBE - 1 && xenstore.oldestPendingMs === 0)
        xenstore.read('/').catch(() => undefined);
    }),
    map(() => xenstore.oldestPendingMs <= SILENT_MS),
    startWith(true),
    distinctUntilChanged(),
    skip(1),
  );
}

/** Merges the events of one turn: an event says only that something has changed, so one look answers all of them. */
function countPerTurn(): OperatorFunction<unknown, number> {
  return (events$) =>
    new Observable((subscriber) => {
      let count = 0;
      const emit = (): void => {
        const events = count;
        count = 0;
        subscriber.next(events);
      };
      return events$.subscribe({
        next: () => {
          if (count++ === 0) queueMicrotask(emit);
        },
        error: (error: unknown) => subscriber.error(error),
        complete: () => subscriber.complete(),
      });
    });
}

/** Emits one connection, and closes it on unsubscribe. Fails with the reason if the connection cannot be made. */
function connection(open: () => Promise<XenstoreSession>): Observable<XenstoreSession> {
  return new Observable((subscriber) => {
    const opened = open();
    opened.then(
      (xenstore) => subscriber.next(xenstore),
      (error: unknown) => subscriber.error(error),
    );
    return () => {
      opened.then((xenstore) => xenstore.close()).catch(() => undefined);
    };
  });
}
