/** What the inventory may do with xenstore: look, and be told. Types alone; nothing is loaded by it. */
import type { Observable } from 'rxjs';
import type { XenError } from '../xen-error.ts';

/** Something happened at or below a watched path, or above it. It may be spurious, and one may stand for many: read anew what matters. */
export interface WatchEvent {
  /** The node that changed; the watch's own path for the first event, for special watches, and where a node above was removed. */
  readonly path: string;
}

/** xenstore without its means to write. */
export interface XenstoreReader {
  /** The value of a node as text; undefined where there is none. */
  read(path: string): Promise<string | undefined>;
  /** The names of a node's children; undefined where there is none. */
  directory(path: string): Promise<string[] | undefined>;
  /** Watches from subscribe to unsubscribe; the first event comes at once. Fails when the connection ends, never completes. */
  watch(path: string): Observable<WatchEvent>;
  /** How long the oldest unanswered request has waited, ms; 0 where none waits. */
  readonly oldestPendingMs: number;
  /** Resolves when the connection has ended, with the reason. Never rejects. */
  readonly closed: Promise<XenError>;
}
