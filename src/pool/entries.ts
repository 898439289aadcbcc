/** The values in the buckets, as JSON. Decoding checks each field, because anybody may have written the value. */
import { checkDomid, type Domid } from '../domain.ts';
import { printable } from '../printable.ts';
import { type HostName, isHostName } from './names.ts';

/** Value of `vm.<uuid>.<host>`: the domain that the host's feed showed. */
export interface VmEntry {
  readonly domid: Domid;
  /** Epoch of the daemon's feed when the entry was written. */
  readonly epoch: string;
  /** When the entry was written, ISO 8601, by the clock of the host. Nothing is decided by it. */
  readonly since: string;
}

/** Value of `host.<name>`: the state of a host, written again every few seconds. */
export interface HostEntry {
  /** Random for each run of a bridge. */
  readonly bridge: string;
  /** Position in the daemon's feed. */
  readonly epoch: string;
  readonly revision: number;
  /** Number of VMs. */
  readonly domains: number;
  /** Version of xen-domid. */
  readonly version: string;
  /** Release of Xen. */
  readonly xen: string;
}

/** Most hosts of a pool. */
export const HOSTS_MAX = 4096;

const ENTRY_BYTES_MAX = 4096;
const PEERS_BYTES_MAX = 400_000;
const HEX = /^[\da-f]{1,32}$/;
const SINCE = /^[\dT:.Z-]{1,32}$/;
const TEXT_LENGTH_MAX = 64;

const decoder = new TextDecoder();

/** Returns undefined for a value that no bridge writes. */
export function decodeVmEntry(value: Uint8Array): VmEntry | undefined {
  const { domid, epoch, since } = fieldsOf(value, ENTRY_BYTES_MAX);
  if (!isText(epoch, HEX) || !isText(since, SINCE)) return undefined;
  try {
    return { domid: checkDomid(domid as number), epoch, since };
  } catch {
    return undefined;
  }
}

/** Returns undefined for a value that no bridge writes. */
export function decodeHostEntry(value: Uint8Array): HostEntry | undefined {
  return readHostEntry(fieldsOf(value, ENTRY_BYTES_MAX));
}

/** Reads the fields of a host's entry. */
export function readHostEntry(fields: Readonly<Record<string, unknown>>): HostEntry | undefined {
  const { bridge, epoch, revision, domains, version, xen } = fields;
  if (!isText(bridge, HEX) || !isText(epoch, HEX) || !isCount(revision) || !isCount(domains))
    return undefined;
  if (typeof version !== 'string' || typeof xen !== 'string') return undefined;
  return {
    bridge,
    epoch,
    revision,
    domains,
    version: printable(version, TEXT_LENGTH_MAX),
    xen: printable(xen, TEXT_LENGTH_MAX),
  };
}

/** Returns the names that are valid. */
export function decodePeers(value: Uint8Array): HostName[] {
  const { hosts } = fieldsOf(value, PEERS_BYTES_MAX);
  if (!Array.isArray(hosts)) return [];
  return hosts
    .slice(0, HOSTS_MAX)
    .filter((name): name is HostName => typeof name === 'string' && isHostName(name));
}

export function encodePeers(hosts: readonly HostName[]): string {
  return JSON.stringify({ hosts });
}

function fieldsOf(value: Uint8Array, bytesMax: number): Readonly<Record<string, unknown>> {
  if (value.length > bytesMax) return {};
  try {
    const parsed: unknown = JSON.parse(decoder.decode(value));
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)
      ? (parsed as Record<string, unknown>)
      : {};
  } catch {
    return {};
  }
}

function isText(value: unknown, pattern: RegExp): value is string {
  return typeof value === 'string' && pattern.test(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
