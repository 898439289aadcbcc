/** Resources of a process: memory in use after a collection, files, handles of the event loop, and listeners. */
import type { EventEmitter } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Most growth of memory over the measured time, bytes. Some growth is no leak: the service keeps a few bytes for
 * each domid that was ever used.
 */
const MOST_GROWTH_BYTES = 8 * 2 ** 20;

export interface Vitals {
  /** s */
  readonly at: number;
  /** Bytes of objects and buffers in use after a collection. */
  readonly usedBytes: number;
  readonly rssBytes: number;
  readonly files: number;
}

export interface OpenResources {
  /** Target of each open file, by descriptor. */
  readonly files: ReadonlyMap<string, string>;
  /** Active resources of the event loop, by name. */
  readonly resources: Readonly<Record<string, number>>;
  /** Listeners on `process`. */
  readonly listeners: number;
}

export async function vitalsAt(at: number): Promise<Vitals> {
  // Buffers that the first collection frees are released in the background.
  collect();
  await sleep(50);
  collect();
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  return { at, usedBytes: heapUsed + arrayBuffers, rssBytes: rss, files: openFiles().size };
}

export function openResources(): OpenResources {
  const resources: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1;
  const listeners = process
    .eventNames()
    .reduce((sum, name) => sum + process.listenerCount(name), 0);
  return { files: openFiles(), resources, listeners };
}

/** Describes the resources in `after` that were not in `before`. */
export function leaked(before: OpenResources, after: OpenResources): string[] {
  const more: string[] = [];
  const compare = (what: string, was: number, is: number): void => {
    if (is > was) more.push(`${is - was} ${what}`);
  };
  for (const [fd, file] of after.files)
    if (!before.files.has(fd)) more.push(`the open file ${fd}, ${file}`);
  compare('listeners on process', before.listeners, after.listeners);
  for (const [name, count] of Object.entries(after.resources))
    compare(name, before.resources[name] ?? 0, count);
  return more;
}

interface ActiveHandles {
  _getActiveHandles(): EventEmitter[];
}

/** The highest number of listeners for one event of any active socket, server or timer. */
export function mostListeners(): number {
  // oxlint-disable-next-line no-underscore-dangle -- node has no other way to tell
  const active = (process as unknown as ActiveHandles)._getActiveHandles();
  let most = 0;
  for (const handle of active) {
    if (typeof handle.eventNames !== 'function') continue;
    for (const name of handle.eventNames()) most = Math.max(most, handle.listenerCount(name));
  }
  return most;
}

export interface Growth {
  /** Bytes per hour: the median of the slopes between all pairs of samples (Theil-Sen). */
  readonly bytesAnHour: number;
  /** That slope over the measured time, and its limit. */
  readonly bytes: number;
  readonly mostBytes: number;
  readonly seconds: number;
  readonly samples: number;
}

/** Memory in use at a time. */
export type Sample = Pick<Vitals, 'at' | 'usedBytes'>;

export function growthOf(samples: readonly Sample[]): Growth {
  const slopes: number[] = [];
  samples.forEach((later, index) => {
    for (const earlier of samples.slice(0, index))
      slopes.push((later.usedBytes - earlier.usedBytes) / (later.at - earlier.at));
  });
  const slope = median(slopes);
  const seconds = (samples.at(-1)?.at ?? 0) - (samples[0]?.at ?? 0);
  return {
    bytesAnHour: slope * 3600,
    bytes: slope * seconds,
    mostBytes: MOST_GROWTH_BYTES,
    seconds,
    samples: samples.length,
  };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[sorted.length >> 1] ?? 0;
}

function openFiles(): Map<string, string> {
  const files = new Map<string, string>();
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      files.set(fd, readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      // The directory itself, which is closed by now.
    }
  }
  return files;
}

function collect(): void {
  const { gc } = globalThis;
  if (gc === undefined) throw new Error('run with node --expose-gc, to measure the memory in use');
  gc();
}
