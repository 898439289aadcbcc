/** Counts of connections, for `stats` and metrics. */

/** Why the daemon ended a connection. */
export type EndReason = 'idle' | 'line' | 'unfinished' | 'unread' | 'behind' | 'memory';

export class ConnectionCounts {
  /** Open now. */
  open = 0;
  accepted = 0;
  /** Refused because too many were open. */
  turnedAway = 0;
  /** Connections that speak HTTP. */
  http = 0;
  readonly ended: Record<EndReason, number> = {
    idle: 0,
    line: 0,
    unfinished: 0,
    unread: 0,
    behind: 0,
    memory: 0,
  };
}
