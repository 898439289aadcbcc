/**
 * From what a service sent to results, field by field: nothing that was not asked for, or that a result of this
 * kind cannot be, gets past here, whoever is at the other end of the socket.
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
import { parseUuid, type Uuid } from '../uuid.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import type { ServiceVersion } from './results.ts';
import { PROTOCOL_VERSION } from './rpc.ts';

const KINDS: ReadonlySet<string> = new Set(CHANGE_KINDS);
const CAUSE = /^[\w-]{1,64}$/;
/** A source, or the reason of a shutdown: a later service may know more of them than this client. */
const WORD = /^[a-z][\w-]{0,31}$/;

const MOST_TOKEN = 256;
const MOST_NAME = 4096;
const MOST_COUNTERS = 1024;
const DEEPEST_COUNTER = 4;

type Fields = Readonly<Record<string, unknown>>;

export function protocolError(what: string): XenError {
  return new XenError(
    ErrorCode.SERVICE_PROTOCOL,
    `the service sent ${what}: is this the socket of xen-domid, and of a version that this client knows?`,
  );
}

/** The object that `value` is. */
export function fieldsOf(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw protocolError(`what is no ${what}`);
  }
  return value as Fields;
}

/** One line: a JSON object. */
export function readMessage(line: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw protocolError('a line that is no JSON');
  }
  return fieldsOf(value, 'JSON-RPC message');
}

export function readLookup(value: unknown, uuid: Uuid): LookupResult {
  const fields = fieldsOf(value, 'look-up result');
  switch (fields['status']) {
    case 'found': {
      const { source } = fields;
      if (!matches(source, WORD)) throw protocolError('no source');
      return {
        status: 'found',
        domain: holderOf(fields['domain'], uuid),
        source: source as Source,
      };
    }
    case 'notFound':
      return { status: 'notFound' };
    case 'ambiguous': {
      const domains = arrayOf(fields['domains'], (domain) => holderOf(domain, uuid));
      if (domains.length < 2)
        throw protocolError('an ambiguous result with fewer than two domains');
      return { status: 'ambiguous', domains };
    }
    case 'unavailable': {
      const { cause } = fields;
      return { status: 'unavailable', cause: readCause(cause) };
    }
    default:
      throw protocolError('a look-up result of no known status');
  }
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
      throw protocolError('a look-up result of no known status');
  }
}

export function readLookups(value: unknown, uuids: readonly Uuid[]): LookupResult[] {
  if (!Array.isArray(value) || value.length !== uuids.length) {
    throw protocolError(`no ${uuids.length} results for ${uuids.length} UUIDs`);
  }
  return uuids.map((uuid, index) => readLookup(value[index], uuid));
}

export function readGet(value: unknown, domid: Domid): GetResult {
  const fields = fieldsOf(value, 'result');
  if (fields['status'] === 'notFound') return { status: 'notFound' };
  if (fields['status'] !== 'found') throw protocolError('a result of no known status');
  const domain = readDomain(fields['domain']);
  if (domain.domid !== domid) throw protocolError(`domain ${domain.domid} for domain ${domid}`);
  return { status: 'found', domain };
}

/** Domains in strictly ascending domid, as every list of them is. */
export function readDomains(value: unknown): ListedDomain[] {
  let last = -1;
  return arrayOf(value, (item) => {
    const domain = readDomain(item);
    if (domain.domid <= last) throw protocolError('domains out of order');
    last = domain.domid;
    const name = (item as Fields)['name'];
    if (name === undefined) return domain;
    if (typeof name !== 'string' || name.length > MOST_NAME)
      throw protocolError('a name that is none');
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
  if (typeof kind !== 'string') throw protocolError('a change without its kind');
  if (!KINDS.has(kind)) return undefined;
  return {
    kind: kind as ChangeKind,
    domid: readDomid(fields['domid']),
    uuid: readUuidText(fields['uuid']),
    ...(fields['domain'] !== undefined && { domain: readDomain(fields['domain']) }),
    ...(fields['previous'] !== undefined && { previous: readDomain(fields['previous']) }),
  };
}

/** The changes of a batch; those of a kind that a later service tells of and this client does not know are left out. */
export function readChanges(value: unknown): Change[] {
  return arrayOf(value, readChange).filter((change) => change !== undefined);
}

export function readToken(value: unknown): string {
  if (typeof value !== 'string' || value.length > MOST_TOKEN) throw protocolError('no token');
  return value;
}

export function readCause(value: unknown): string {
  return typeof value === 'string' && CAUSE.test(value) ? value : 'unknown';
}

/** Numbers, texts and booleans by name, and such objects in them. What else is there is left out. */
export function readCounters(value: unknown): Counters {
  let left = MOST_COUNTERS;
  const read = (fields: Fields, deeper: number): Counters => {
    const counters: [string, Counter][] = [];
    for (const [name, counter] of Object.entries(fields)) {
      if (left-- <= 0) throw protocolError('more counters than there can be');
      const key = shown(name, 64);
      if (typeof counter === 'string') counters.push([key, shown(counter, 256)]);
      else if (typeof counter === 'number' || typeof counter === 'boolean')
        counters.push([key, counter]);
      else if (
        deeper > 0 &&
        typeof counter === 'object' &&
        counter !== null &&
        !Array.isArray(counter)
      )
        counters.push([key, read(counter as Fields, deeper - 1)]);
    }
    return Object.fromEntries(counters);
  };
  return read(fieldsOf(value, 'set of counters'), DEEPEST_COUNTER);
}

export function readVersion(value: unknown): ServiceVersion {
  const fields = fieldsOf(value, 'version');
  const { protocol, simulated = false } = fields;
  if (typeof protocol !== 'number') throw protocolError('a version without "protocol"');
  if (protocol !== PROTOCOL_VERSION) {
    throw protocolError(`protocol ${protocol}, and this client knows ${PROTOCOL_VERSION} only`);
  }
  if (typeof simulated !== 'boolean') throw protocolError('a "simulated" that is not a boolean');
  return {
    ...readCounters(fields),
    package: versionText(fields, 'package'),
    protocol,
    xen: versionText(fields, 'xen'),
    domctlInterface: amount(fields['domctlInterface']),
    sysctlInterface: amount(fields['sysctlInterface']),
    simulated,
  };
}

function versionText(fields: Fields, name: 'package' | 'xen'): string {
  const value = fields[name];
  if (typeof value !== 'string') throw protocolError(`a version without "${name}"`);
  return shown(value, 256);
}

/** A text from the other side as an error message or a table may show it. */
export function shown(text: string, most: number): string {
  return text.slice(0, most).replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, '?');
}

function holderOf(value: unknown, uuid: Uuid): Domain {
  const domain = readDomain(value);
  if (domain.uuid !== uuid) throw protocolError(`a domain with another UUID than ${uuid}`);
  return domain;
}

function readDomain(value: unknown): Domain {
  const fields = fieldsOf(value, 'domain');
  const { shutdownReason, uniqueId } = fields;
  if (shutdownReason !== undefined && !matches(shutdownReason, WORD))
    throw protocolError('no reason of a shutdown');
  if (uniqueId !== undefined && !matches(uniqueId, /^\d{1,20}$/))
    throw protocolError('a unique id that is none');
  return {
    domid: readDomid(fields['domid']),
    uuid: readUuidText(fields['uuid']),
    dying: flag(fields['dying']),
    shutdown: flag(fields['shutdown']),
    ...(shutdownReason !== undefined && { shutdownReason: shutdownReason as ShutdownReason }),
    paused: flag(fields['paused']),
    blocked: flag(fields['blocked']),
    running: flag(fields['running']),
    hvm: flag(fields['hvm']),
    vcpus: amount(fields['vcpus']),
    memoryBytes: amount(fields['memoryBytes']),
    maxMemoryBytes: amount(fields['maxMemoryBytes']),
    cpuTimeSeconds: amount(fields['cpuTimeSeconds']),
    ssidref: amount(fields['ssidref']),
    cpupool: amount(fields['cpupool']),
    ...(uniqueId !== undefined && { uniqueId: uniqueId as string }),
  };
}

function readDomid(value: unknown): Domid {
  try {
    return checkDomid(value as number);
  } catch {
    throw protocolError('what is no domid');
  }
}

function readUuidText(value: unknown): Uuid {
  try {
    return parseUuid(value);
  } catch {
    throw protocolError('what is no UUID');
  }
}

function flag(value: unknown): boolean {
  if (typeof value !== 'boolean') throw protocolError('a domain without one of its flags');
  return value;
}

function amount(value: unknown): number {
  if (typeof value !== 'number' || !(value >= 0))
    throw protocolError('a domain without one of its figures');
  return value;
}

function matches(value: unknown, pattern: RegExp): boolean {
  return typeof value === 'string' && pattern.test(value);
}

function arrayOf<T>(value: unknown, read: (item: unknown) => T): T[] {
  if (!Array.isArray(value)) throw protocolError('no array where one belongs');
  return value.map(read);
}
