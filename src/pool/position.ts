/** Positions in the feed of a host, and in the feeds of all hosts. */
import type { Change, Token } from '../change.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import { type HostName, isHostName } from './names.ts';

/** A position in the feed of one daemon: its token, taken apart. */
export interface Position {
  /** Random for each run of the daemon. */
  readonly epoch: string;
  /** Number of changes since the daemon started. */
  readonly revision: number;
}

/** Positions of all hosts, as text. Opaque: pass it back unchanged. */
export type PoolToken = string;

const TOKEN = /^([\da-f]{1,32}):(\d{1,15})$/;

/** Returns undefined for a text that is not a token of a daemon. */
export function parsePosition(token: unknown): Position | undefined {
  const match = typeof token === 'string' ? TOKEN.exec(token) : null;
  return match === null ? undefined : { epoch: match[1] ?? '', revision: Number(match[2]) };
}

export function tokenOf({ epoch, revision }: Position): Token {
  return `${epoch}:${revision}`;
}

/** A run of changes: those after one position, up to another one of the same epoch. */
export interface Run {
  readonly after: Position;
  readonly to: Position;
  readonly changes: readonly Change[];
}

/**
 * Returns the changes of `run` that follow `position`, or the reason why there are none: `old` if the position is already
 * behind them, `gap` if changes between the position and the run are missing.
 */
export function changesAfter(position: Position, run: Run): readonly Change[] | 'old' | 'gap' {
  const { after, to, changes } = run;
  if (position.epoch !== to.epoch) return 'gap';
  if (position.revision >= to.revision) return 'old';
  const known = position.revision - after.revision;
  if (known === 0) return changes;
  // Conflated changes cannot be cut: there are fewer of them than revisions.
  return known > 0 && changes.length === to.revision - after.revision
    ? changes.slice(known)
    : 'gap';
}

export function encodePoolToken(tokens: ReadonlyMap<HostName, Token>): PoolToken {
  return JSON.stringify(Object.fromEntries(tokens));
}

/** @throws XenError `ERR_INVALID_OPTION`. */
export function decodePoolToken(text: PoolToken): Map<HostName, Token> {
  const tokens = new Map<HostName, Token>();
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    parsed = undefined;
  }
  if (typeof parsed === 'object' && parsed !== null) {
    for (const [host, token] of Object.entries(parsed)) {
      if (isHostName(host) && parsePosition(token) !== undefined) tokens.set(host, token as Token);
    }
    return tokens;
  }
  throw new XenError(
    ErrorCode.INVALID_OPTION,
    'token is not a token of a pool: pass the token of an earlier subscription unchanged, or none',
  );
}
