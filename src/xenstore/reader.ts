/** The inventory's read-only view of xenstore. Types only; loads nothing. */
import type { Observable } from '../rxjs.ts';
import type { XenError } from '../xen-error.ts';

/** A change at, below or above a watched path. It may be spurious, and may stand for several changes: read the nodes again. */
export interface WatchEvent {
  /** The node that changed. The watch's own path in the first event, for a special watch, and if a node above was removed. */
  readonly path: string;
}

/** xenstore without write access. */
export interface XenstoreReader {
  /** Returns the value of a node as text; undefined if there is no such node. */
  read(path: string): Promise<string | undefined>;
  /** Returns the names of a node's children; undefined if there is no such node. */
  directory(path: string): Promise<string[] | undefined>;
  /** Watches from subscribe to unsubscribe; the first event comes at once. Fails when the connection ends, never completes. */
  watch(path: string): Observable<WatchEvent>;
  /** Age of the oldest pending request, ms; 0 without one. */
  readonly oldestPendingMs: number;
  /** Resolves with the reason when the connection ends. Never rejects. */
  readonly closed: Promise<XenError>;
}
