/** `xen-domid stats`: the service's counters. */
import type { Counter, Counters } from '../../results.ts';
import { connect, type ConnectOptions } from '../connect.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { printableJson } from '../terminal/printable.ts';

export interface StatsCommand extends ConnectOptions {
  readonly json: boolean;
}

export async function stats(io: Io, options: StatsCommand): Promise<ExitStatus> {
  const client = await connect(io, options);
  try {
    const counters = await client.stats();
    io.out(options.json ? `${printableJson(counters)}\n` : formatCounters(counters));
    return ExitStatus.done;
  } finally {
    await client.close();
  }
}

/** A line each: its name, with those that it is under, and its value. */
export function formatCounters(counters: Counters): string {
  const lines = [...flatten(counters, '')];
  const width = Math.max(0, ...lines.map(([name]) => name.length));
  return lines.map(([name, value]) => `${name.padEnd(width)} ${value}\n`).join('');
}

function* flatten(counters: Counters, under: string): Generator<[string, string]> {
  for (const [name, value] of Object.entries(counters)) {
    if (isGroup(value)) yield* flatten(value, `${under}${name}.`);
    else yield [`${under}${name}`, formatValue(value)];
  }
}

function isGroup(value: Counter): value is Counters {
  return typeof value === 'object';
}

function formatValue(value: number | string | boolean): string {
  if (typeof value !== 'number' || Number.isInteger(value)) return String(value);
  return value.toFixed(3);
}
