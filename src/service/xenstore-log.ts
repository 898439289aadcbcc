/** Log lines about xenstore: lost, with the reason, and back. */
import type { XenstoreState } from '../inventory/xenstore-link.ts';
import { BoundedLog } from './bounded-log.ts';
import type { Log } from './log.ts';

/** Returns a function that logs a state of the connection, where it tells something new. */
export function xenstoreLog(log: Log): (state: XenstoreState) => void {
  const bounded = new BoundedLog(log, 'xenstore');
  let logged: string | undefined;
  return ({ connected, reason }) => {
    if (reason === logged) return;
    logged = reason;
    if (reason !== undefined)
      bounded.line(
        'warning',
        () => `no xenstore, changes are reported up to a minute late: ${reason}`,
      );
    else if (connected)
      bounded.line('info', () => 'xenstore is back, changes are reported at once');
  };
}
