/** Numbers, times and states as text for people. */
import type { Domain } from '../../domain.ts';

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** Returns bytes with three digits or more and a binary unit. */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1).replace(/\.0$/, '') : Math.round(value)} ${UNITS[unit]}`;
}

/** Returns a duration such as `12.5 s`, `4:07 min` or `31:05 h`. */
export function durationText(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}:${twoDigits(Math.floor(seconds % 60))} min`;
  return `${Math.floor(minutes / 60)}:${twoDigits(minutes % 60)} h`;
}

/** Returns a count with separators between thousands. */
export function countText(count: number): string {
  return count.toLocaleString('en');
}

/** Returns a rate with one digit after the point if it is small. */
export function rateText(rate: number): string {
  return rate > 0 && rate < 10 ? rate.toFixed(1) : countText(Math.round(rate));
}

/** Returns the local time, with seconds. */
export function clockText(time: Date): string {
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map(twoDigits).join(':');
}

function twoDigits(number: number): string {
  return String(number).padStart(2, '0');
}

/** States of a domain. Xen's `blocked` and `running` change all the time, and the feed does not report them: both are `running`. */
export type State = 'running' | 'paused' | 'shutdown' | 'dying';

export function stateOf({ dying, shutdown, paused }: Domain): State {
  if (dying) return 'dying';
  if (shutdown) return 'shutdown';
  return paused ? 'paused' : 'running';
}

/** Returns the state, and the reason of a shutdown. */
export function stateText(domain: Domain): string {
  const state = stateOf(domain);
  if (state !== 'shutdown' || domain.shutdownReason === undefined) return state;
  return `${state}: ${domain.shutdownReason}`;
}
