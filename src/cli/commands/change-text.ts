/** Changes as text: a line for a person, or JSON. */
import type { Change, Token } from '../../change.ts';

export interface LineFormat {
  readonly json: boolean;
  /** Columns of the terminal; undefined if it is none. */
  readonly columns: number | undefined;
  /** The host of the changes, where there are several hosts. */
  readonly host?: string;
}

/** A line with date, milliseconds and UUID. On a narrower terminal, it has neither date nor milliseconds. */
const LINE_COLUMNS = 76;

/** @param token the place in the feed behind the last of the changes; undefined where it is not told. */
export function linesOf(
  changes: readonly Change[],
  token: Token | undefined,
  { json, columns = Infinity, host }: LineFormat,
): string {
  const time = new Date();
  return changes
    .map((change, at) =>
      json
        ? jsonOf(change, time, at === changes.length - 1 ? token : undefined, host)
        : lineOf(change, time, columns, host),
    )
    .join('');
}

/** @param token for the last change of a batch: in the middle of a batch, there is none. */
export function jsonOf(
  change: Change,
  time: Date,
  token: Token | undefined,
  host?: string,
): string {
  const object = {
    time: time.toISOString(),
    ...(host !== undefined && { host }),
    ...change,
    ...(token !== undefined && { token }),
  };
  return `${JSON.stringify(object)}\n`;
}

function lineOf(change: Change, time: Date, columns: number, host: string | undefined): string {
  const { kind, domid, uuid } = change;
  const where = host === undefined ? '' : `${host} `;
  const head =
    columns < LINE_COLUMNS
      ? `${timeOf(time)} ${where}${kind.padEnd(9)} ${domid} ${uuid}`
      : `${dateOf(time)} ${timeOf(time)}.${milliseconds(time)} ${where}${kind.padEnd(9)} ${String(domid).padStart(5)} ${uuid}`;
  return `${head}${detailOf(change)}\n`;
}

function detailOf({ kind, domain, previous }: Change): string {
  if (kind === 'renamed' && previous !== undefined) return ` was ${previous.uuid}`;
  return kind === 'shutdown' ? ` ${domain?.shutdownReason ?? ''}` : '';
}

/** Local time, like the date. */
function timeOf(time: Date): string {
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(':');
}

function dateOf(time: Date): string {
  return [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join('-');
}

function milliseconds(time: Date): string {
  return String(time.getMilliseconds()).padStart(3, '0');
}

function two(number: number): string {
  return String(number).padStart(2, '0');
}
