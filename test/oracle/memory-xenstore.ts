/** xenstored as its clients see it, without a socket: events wait until the test delivers them. */
import { Observable, type Subscriber } from 'rxjs';
import type { XenstoreSession } from '../../src/inventory/pipeline.ts';
import type { SimulatedHost } from '../../src/simulator/index.ts';
import { ErrorCode, XenError } from '../../src/xen-error.ts';
import type { WatchEvent } from '../../src/xenstore/reader.ts';

type SpecialPath = '@introduceDomain' | '@releaseDomain';

interface Watch {
  readonly path: string;
  readonly subscriber: Subscriber<WatchEvent>;
  /** xenstored has registered the watch: from now on it fires. */
  set: boolean;
  /** Its first event has been delivered. */
  begun: boolean;
}

interface Request {
  readonly path: string;
  readonly since: number;
  readonly resolve: (names: string[] | undefined) => void;
  readonly reject: (error: Error) => void;
}

class Session implements XenstoreSession {
  readonly watches: Watch[] = [];
  requests: Request[] = [];
  /** Events that the client has not read yet. */
  events: Watch[] = [];
  ended = false;
  readonly closed: Promise<XenError>;
  readonly #end: (reason: XenError) => void;

  constructor() {
    let end: ((reason: XenError) => void) | undefined;
    this.closed = new Promise((resolve) => {
      end = resolve;
    });
    this.#end = (reason) => end?.(reason);
  }

  get oldestPendingMs(): number {
    const [oldest] = this.requests;
    return oldest === undefined ? 0 : performance.now() - oldest.since;
  }

  read(): Promise<string | undefined> {
    return Promise.resolve(undefined);
  }

  directory(path: string): Promise<string[] | undefined> {
    if (this.ended) return Promise.reject(disconnected());
    return new Promise((resolve, reject) => {
      this.requests.push({ path, since: performance.now(), resolve, reject });
    });
  }

  watch(path: string): Observable<WatchEvent> {
    return new Observable((subscriber) => {
      if (this.ended) {
        subscriber.error(disconnected());
        return undefined;
      }
      const watch: Watch = { path, subscriber, set: false, begun: false };
      this.watches.push(watch);
      return () => {
        this.watches.splice(this.watches.indexOf(watch), 1);
      };
    });
  }

  close(): Promise<void> {
    this.end();
    return Promise.resolve();
  }

  end(): void {
    if (this.ended) return;
    this.ended = true;
    const reason = disconnected();
    // Each subscriber removes itself from the list.
    const watches = this.watches.slice();
    for (const { subscriber } of watches) subscriber.error(reason);
    for (const { reject } of this.requests) reject(reason);
    this.requests = [];
    this.#end(reason);
  }
}

export class MemoryXenstore {
  /** The step of the host at which the client read the last event that requires a look. */
  lastEventAt: number | undefined;
  readonly #host: SimulatedHost;
  readonly #introduced = new Set<number>();
  readonly #toldShutDown = new Set<number>();
  #session: Session | undefined;
  #dialling: (() => void)[] = [];
  #refusals = 0;

  constructor(host: SimulatedHost) {
    this.#host = host;
    host.listen({
      introduced: (domid) => {
        if (this.#introduced.has(domid)) return;
        this.#introduced.add(domid);
        this.#fire('@introduceDomain');
      },
      domainException: (domid) => this.#domainException(domid),
    });
  }

  readonly open = (): Promise<XenstoreSession> =>
    new Promise((resolve, reject) => {
      if (this.#refusals > 0) {
        this.#refusals--;
        reject(new XenError(ErrorCode.XENSTORE_UNREACHABLE, 'nothing listens'));
        return;
      }
      this.#dialling.push(() => {
        this.#session = new Session();
        resolve(this.#session);
      });
    });

  /** The next attempts to connect fail. */
  refuse(times: number): void {
    this.#refusals = times;
  }

  /** Whether a client has a connection. */
  get isOpen(): boolean {
    return this.#session?.ended === false;
  }

  get waitsForAccept(): boolean {
    return this.#dialling.length > 0;
  }

  accept(): void {
    this.#dialling.shift()?.();
  }

  get unsetWatches(): number {
    return this.#session?.watches.filter(({ set }) => !set).length ?? 0;
  }

  /** Registers the oldest requested watch and sends its first event. */
  takeWatch(): void {
    const session = this.#session;
    const watch = session?.watches.find(({ set }) => !set);
    if (session === undefined || watch === undefined) return;
    watch.set = true;
    session.events.push(watch);
  }

  get undelivered(): number {
    return this.#session?.events.length ?? 0;
  }

  /** The client reads up to `most` events. */
  deliver(most: number): void {
    for (let count = 0; count < most; count++) {
      const session = this.#session;
      const watch = session?.events.shift();
      if (session === undefined || watch === undefined) return;
      if (session.ended || watch.subscriber.closed) continue;
      const wasFirst = !watch.begun;
      watch.begun = true;
      const ready = session.watches.length === 2 && session.watches.every(({ begun }) => begun);
      // Events before both watches are set require no look: the list that follows sees their cause.
      if (ready || !wasFirst) this.lastEventAt = this.#host.now;
      watch.subscriber.next({ path: watch.path });
    }
  }

  /** Loses or merges unread events, except the first event of a watch. */
  lose(): void {
    const session = this.#session;
    if (session === undefined) return;
    session.events = session.events.filter(
      (watch, index, all) => !watch.begun && all.indexOf(watch) === index,
    );
  }

  get requests(): readonly { readonly path: string }[] {
    return this.#session?.requests ?? [];
  }

  answer(names: string[] | undefined): void {
    this.#session?.requests.shift()?.resolve(names);
  }

  cut(): void {
    this.#session?.end();
    this.#session = undefined;
    this.lastEventAt = undefined;
  }

  /** Same as check_domains() of the C xenstored. */
  #domainException(domid: number): void {
    let concerned = false;
    for (const each of this.#host.shutDownDomids) {
      if (!this.#introduced.has(each) || this.#toldShutDown.has(each)) continue;
      this.#toldShutDown.add(each);
      concerned = true;
    }
    for (const each of this.#toldShutDown) {
      if (!this.#host.shutDownDomids.has(each as never)) this.#toldShutDown.delete(each);
    }
    const stage = this.#host.get(domid)?.stage ?? 'dead';
    if (stage === 'dead' && this.#introduced.delete(domid)) concerned = true;
    if (concerned) this.#fire('@releaseDomain');
  }

  #fire(path: SpecialPath): void {
    const watch = this.#session?.watches.find((each) => each.path === path);
    if (watch?.set === true) this.#session?.events.push(watch);
  }
}

function disconnected(): XenError {
  return new XenError(ErrorCode.XENSTORE_DISCONNECTED, 'the connection has ended');
}
