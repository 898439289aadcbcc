/**
 * Decodes results of the service field by field, and checks each field: the process at the other end of the socket
 * is not trusted. Unknown fields are dropped.
 */
import { checkDomid, type Domain, type Domid, type ShutdownReason } from '../domain.ts';
import { CHANGE_KINDS, type Change, type ChangeKind } from '../change.ts';
import type {
  Counter,
  Counters,
  DomidResult,
  GetResult,
  ListedDomain,
  ListResult,
  LookupResult,
  Source,
} from '../results.ts';
import type { WaitResult } from '../waiting.ts';
import { printable } from '../printable.ts';
import { parseUuid, type Uuid } from '../uuid.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import type { ServiceVersion } from './results.ts';
import type { FlagField, NumberField } from './domain-fields.ts';
import { PROTOCOL_VERSION } from './rpc.ts';

const KINDS: ReadonlySet<string> = new Set(CHANGE_KINDS);
const CAUSE = /^[\w-]{1,64}$/;
/** A source or shutdown reason. Not compared with the known ones: a later service may have more. */
const WORD = /^[a-z][\w-]{0,31}$/;

/** Longest texts, in UTF-16 units. */
const TOKEN_LENGTH_MAX = 256;
const NAME_LENGTH_MAX = 4096;
const COUNTER_NAME_LENGTH_MAX = 64;
const COUNTER_TEXT_LENGTH_MAX = 256;

const COUNTERS_MAX = 1024;
const COUNTER_DEPTH_MAX = 4;

type Fields = Readonly<Record<string, unknown>>;

/** @param what the offending data, for example `a line that is not JSON`. */
export function protocolError(what: string): XenError {
  return new XenError(
    ErrorCode.SERVICE_PROTOCOL,
    `the service sent ${what}: check that the socket is that of xen-domid, of a version that fits this client`,
  );
}

/** Returns `value` as an object. @param what name of the object for the error. */
export function fieldsOf(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw protocolError(`something else than an object as ${what}`);
  }
  return value as Fields;
}

/** Parses one line: a JSON object. */
export function readMessage(line: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw protocolError('a line that is not JSON');
  }
  return fieldsOf(value, 'JSON-RPC message');
}

export function readLookup(value: unknown, uuid: Uuid): LookupResult {
  const fields = fieldsOf(value, 'look-up result');
  switch (fields['status']) {
    case 'found': {
      const { source } = fields;
      if (!matches(source, WORD)) throw protocolError('a found domain without its source');
      return {
        status: 'found',
        domain: readHolder(fields['domain'], uuid),
        source: source as Source,
      };
    }
    case 'notFound':
      return { status: 'notFound' };
    case 'ambiguous': {
      const domains = arrayOf(fields['domains'], (domain) => readHolder(domain, uuid));
      if (domains.length < 2)
        throw protocolError('an ambiguous result with fewer than two domains');
      return { status: 'ambiguous', domains };
    }
    case 'unavailable': {
      return { status: 'unavailable', cause: readCause(fields['cause']) };
    }
    default:
      throw protocolError('a look-up result of unknown status');
  }
}

export function readWait(value: unknown, uuid: Uuid): WaitResult {
  const { reached, shutdownReason } = fieldsOf(value, 'result of a wait');
  if (typeof reached !== 'boolean') throw protocolError('a result of a wait without "reached"');
  const result = readLookup(value, uuid);
  if (result.status !== 'notFound' || shutdownReason === undefined) return { ...result, reached };
  return { ...result, shutdownReason: readShutdownReason(shutdownReason), reached };
}

export function readDomidResult(value: unknown): DomidResult {
  const fields = fieldsOf(value, 'look-up result');
  switch (fields['status']) {
    case 'found':
      return { status: 'found', domid: readDomid(fields['domid']) };
    case 'notFound':
      return { status: 'notFound' };
    case 'ambiguous': {
      const domids = arrayOf(fields['domids'], readDomid);
      if (domids.length < 2) throw protocolError('an ambiguous result with fewer than two domids');
      return { status: 'ambiguous', domids };
    }
    default:
      throw protocolError('a look-up result of unknown status');
  }
}

export function readLookups(value: unknown, uuids: readonly Uuid[]): LookupResult[] {
  if (!Array.isArray(value) || value.length !== uuids.length) {
    throw protocolError(`another number of results than the ${uuids.length} requested`);
  }
  return uuids.map((uuid, index) => readLookup(value[index], uuid));
}

export function readGet(value: unknown, domid: Domid): GetResult {
  const fields = fieldsOf(value, 'result');
  if (fields['status'] === 'notFound') return { status: 'notFound' };
  if (fields['status'] !== 'found') throw protocolError('a result of unknown status');
  const domain = readDomain(fields['domain']);
  if (domain.domid !== domid) throw protocolError(`domain ${domain.domid} for domain ${domid}`);
  return { status: 'found', domain };
}

/** Reads domains, which must be in strictly ascending domid. */
export function readDomains(value: unknown): ListedDomain[] {
  let last = -1;
  return arrayOf(value, (item) => {
    const domain = readDomain(item);
    if (domain.domid <= last) throw protocolError('domains out of order');
    last = domain.domid;
    const name = (item as Fields)['name'];
    if (name === undefined) return domain;
    if (typeof name !== 'string' || name.length > NAME_LENGTH_MAX)
      throw protocolError('a name that is not a text, or too long');
    return { ...domain, name };
  });
}

export function readList(value: unknown): ListResult {
  const { domains, token } = fieldsOf(value, 'list');
  return { domains: readDomains(domains), token: readToken(token) };
}

function readChange(value: unknown): Change | undefined {
  const fields = fieldsOf(value, 'change');
  const { kind } = fields;
  if (typeof kind !== 'string') throw protocolError('a change without a kind');
  if (!KINDS.has(kind)) return undefined;
  return {
    kind: kind as ChangeKind,
    domid: readDomid(fields['domid']),
    uuid: readUuidText(fields['uuid']),
    ...(fields['domain'] !== undefined && { domain: readDomain(fields['domain']) }),
    ...(fields['previous'] !== undefined && { previous: readDomain(fields['previous']) }),
  };
}

/** Reads the changes of a batch. Drops changes of an unknown kind, which a later service may have. */
export function readChanges(value: unknown): Change[] {
  return arrayOf(value, readChange).filter((change) => change !== undefined);
}

export function readToken(value: unknown): string {
  if (typeof value !== 'string' || value.length > TOKEN_LENGTH_MAX)
    throw protocolError('a message without a token');
  return value;
}

export function readCause(value: unknown): string {
  return typeof value === 'string' && CAUSE.test(value) ? value : 'unknown';
}

/** Reads numbers, texts and booleans by name, also in nested objects. Drops values of other types. */
export function readCounters(value: unknown): Counters {
  let count = 0;
  const read = (fields: Fields, depth: number): Counters => {
    const counters: [string, Counter][] = [];
    for (const [name, counter] of Object.entries(fields)) {
      if (++count > COUNTERS_MAX) throw protocolError(`more than ${COUNTERS_MAX} counters`);
      const key = printable(name, COUNTER_NAME_LENGTH_MAX);
      if (typeof counter === 'string')
        counters.push([key, printable(counter, COUNTER_TEXT_LENGTH_MAX)]);
      else if (typeof counter === 'number' || typeof counter === 'boolean')
        counters.push([key, counter]);
      else if (
        depth < COUNTER_DEPTH_MAX &&
        typeof counter === 'object' &&
        counter !== null &&
        !Array.isArray(counter)
      )
        counters.push([key, read(counter as Fields, depth + 1)]);
    }
    return Object.fromEntries(counters);
  };
  return read(fieldsOf(value, 'counters'), 0);
}

export function readVersion(value: unknown): ServiceVersion {
  const fields = fieldsOf(value, 'version');
  const { protocol, simulated = false } = fields;
  if (typeof protocol !== 'number') throw protocolError('a version without "protocol"');
  if (protocol !== PROTOCOL_VERSION) {
    throw protocolError(`version ${protocol} of the protocol, not ${PROTOCOL_VERSION}`);
  }
  if (typeof simulated !== 'boolean') throw protocolError('a "simulated" that is not a boolean');
  return {
    ...readCounters(fields),
    package: versionText(fields, 'package'),
    protocol,
    xen: versionText(fields, 'xen'),
    domctlInterface: readNumber(fields, 'domctlInterface'),
    sysctlInterface: readNumber(fields, 'sysctlInterface'),
    simulated,
  };
}

function versionText(fields: Fields, name: 'package' | 'xen'): string {
  const value = fields[name];
  if (typeof value !== 'string') throw protocolError(`a version without "${name}"`);
  return printable(value, COUNTER_TEXT_LENGTH_MAX);
}

/** Reads a domain that must have this UUID. */
function readHolder(value: unknown, uuid: Uuid): Domain {
  const domain = readDomain(value);
  if (domain.uuid !== uuid) throw protocolError(`a domain with another UUID than ${uuid}`);
  return domain;
}

function readDomain(value: unknown): Domain {
  const fields = fieldsOf(value, 'domain');
  const { shutdownReason, uniqueId } = fields;
  if (uniqueId !== undefined && !matches(uniqueId, /^\d{1,20}$/))
    throw protocolError('a unique id that is not a decimal number');
  return {
    domid: readDomid(fields['domid']),
    uuid: readUuidText(fields['uuid']),
    dying: readFlag(fields, 'dying'),
    shutdown: readFlag(fields, 'shutdown'),
    ...(shutdownReason !== undefined && { shutdownReason: readShutdownReason(shutdownReason) }),
    paused: readFlag(fields, 'paused'),
    blocked: readFlag(fields, 'blocked'),
    running: readFlag(fields, 'running'),
    hvm: readFlag(fields, 'hvm'),
    vcpus: readNumber(fields, 'vcpus'),
    memoryBytes: readNumber(fields, 'memoryBytes'),
    maxMemoryBytes: readNumber(fields, 'maxMemoryBytes'),
    cpuTimeSeconds: readNumber(fields, 'cpuTimeSeconds'),
    ssidref: readNumber(fields, 'ssidref'),
    cpupool: readNumber(fields, 'cpupool'),
    ...(uniqueId !== undefined && { uniqueId: uniqueId as string }),
  };
}

function readShutdownReason(value: unknown): ShutdownReason {
  if (!matches(value, WORD)) throw protocolError('a shutdown reason that is not a word');
  return value as ShutdownReason;
}

function readDomid(value: unknown): Domid {
  try {
    return checkDomid(value as number);
  } catch {
    throw protocolError('something else than a domid');
  }
}

function readUuidText(value: unknown): Uuid {
  try {
    return parseUuid(value);
  } catch {
    throw protocolError('something else than a UUID');
  }
}

function readFlag(fields: Fields, name: FlagField): boolean {
  const value = fields[name];
  if (typeof value !== 'boolean') throw protocolError(`a "${name}" that is not a boolean`);
  return value;
}

function readNumber(
  fields: Fields,
  name: NumberField | 'domctlInterface' | 'sysctlInterface',
): number {
  const value = fields[name];
  if (typeof value !== 'number' || !(value >= 0))
    throw protocolError(`a "${name}" that is not a number of 0 or more`);
  return value;
}

function matches(value: unknown, pattern: RegExp): boolean {
  return typeof value === 'string' && pattern.test(value);
}

function arrayOf<T>(value: unknown, read: (item: unknown) => T): T[] {
  if (!Array.isArray(value)) throw protocolError('something else than an array');
  return value.map(read);
}
