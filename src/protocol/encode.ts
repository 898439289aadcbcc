/** Encodes results as JSON. The most frequent replies are concatenated by hand, in a tenth of JSON.stringify's time. */
import type { Change } from '../change.ts';
import type { Domain, Domid } from '../domain.ts';
import {
  type Found,
  type GetResult,
  type LookupResult,
  SOURCES,
  type Source,
  type Unavailable,
} from '../results.ts';
import type { WaitResult } from '../waiting.ts';
import { FLAG_FIELDS } from './domain-fields.ts';
import { RpcCode } from './rpc.ts';

/** An error as a value, because throwing one costs more than the whole request. */
export class Failure {
  readonly code: RpcCode;
  readonly message: string;
  readonly data: Readonly<Record<string, unknown>> | undefined;

  constructor(code: RpcCode, message: string, data?: Readonly<Record<string, unknown>>) {
    this.code = code;
    this.message = message;
    this.data = data;
  }
}

export function unavailableFailure({ cause, error }: Unavailable): Failure {
  const reason = error?.message ?? (cause === 'timeout' ? 'it did not answer in time' : cause);
  return new Failure(RpcCode.unavailable, `the hypervisor cannot be asked: ${reason}`, { cause });
}

/** Encodes a domain. None of its texts needs escapes. */
export function domainJson(domain: Domain): string {
  return `{${domainFields(domain)}}`;
}

/** Text of the flags, by their bits: bit n is field n of {@link FLAG_FIELDS}. Halves the pieces to concatenate. */
const FLAGS: readonly string[] = Array.from({ length: 1 << FLAG_FIELDS.length }, (_, bits) => {
  const fields = FLAG_FIELDS.map((name, bit) => `"${name}":${(bits & (1 << bit)) !== 0}`);
  return `${fields.join()},"vcpus":`;
});

function flagsOf(domain: Domain): string {
  const bits =
    (domain.dying ? 1 : 0) |
    (domain.shutdown ? 2 : 0) |
    (domain.paused ? 4 : 0) |
    (domain.blocked ? 8 : 0) |
    (domain.running ? 16 : 0) |
    (domain.hvm ? 32 : 0);
  return FLAGS[bits] ?? '';
}

/** The fields of a domain that rarely change, and their text. To compare them is cheaper than to encode them. */
interface StableText {
  readonly domid: Domid;
  readonly uuid: string;
  readonly vcpus: number;
  readonly memoryBytes: number;
  readonly maxMemoryBytes: number;
  readonly ssidref: number;
  readonly cpupool: number;
  readonly first: string;
  readonly middle: string;
  readonly last: string;
}

/** More than the domains of a host. An entry for every domid would take 16 MiB. */
const STABLE_TEXTS = 4096;
/** Direct-mapped cache: slot = domid % {@link STABLE_TEXTS}. */
const stableTexts: (StableText | undefined)[] = Array.from({ length: STABLE_TEXTS });

function stableTextOf(domain: Domain): StableText {
  const { domid, uuid, vcpus, memoryBytes, maxMemoryBytes, ssidref, cpupool } = domain;
  const slot = domid % STABLE_TEXTS;
  const kept = stableTexts[slot];
  if (
    kept !== undefined &&
    kept.domid === domid &&
    kept.uuid === uuid &&
    kept.vcpus === vcpus &&
    kept.memoryBytes === memoryBytes &&
    kept.maxMemoryBytes === maxMemoryBytes &&
    kept.ssidref === ssidref &&
    kept.cpupool === cpupool
  )
    return kept;
  return (stableTexts[slot] = {
    domid,
    uuid,
    vcpus,
    memoryBytes,
    maxMemoryBytes,
    ssidref,
    cpupool,
    first: ['"domid":', domid, ',"uuid":"', uuid, '",'].join(''),
    middle: [
      vcpus,
      ',"memoryBytes":',
      memoryBytes,
      ',"maxMemoryBytes":',
      maxMemoryBytes,
      ',"cpuTimeSeconds":',
    ].join(''),
    last: [',"ssidref":', ssidref, ',"cpupool":', cpupool].join(''),
  });
}

function domainFields(domain: Domain): string {
  const { shutdownReason, uniqueId } = domain;
  const { first, middle, last } = stableTextOf(domain);
  const fields = first + flagsOf(domain) + middle + domain.cpuTimeSeconds + last;
  if (shutdownReason === undefined && uniqueId === undefined) return fields;
  const reason = shutdownReason === undefined ? '' : `,"shutdownReason":"${shutdownReason}"`;
  return fields + reason + (uniqueId === undefined ? '' : `,"uniqueId":"${uniqueId}"`);
}

/** @param name from xenstore: any text. */
export function namedDomainJson(domain: Domain, name: string | undefined): string {
  const named = name === undefined ? '' : `,"name":${JSON.stringify(name)}`;
  return `{${domainFields(domain)}${named}}`;
}

const NOT_FOUND = '{"status":"notFound"}';

const FOUND_FIRST = '{"status":"found","domain":{';
const FOUND_LAST = Object.fromEntries(
  SOURCES.map((source) => [source, `},"source":"${source}"}`]),
) as Readonly<Record<Source, string>>;

export function foundJson({ domain, source }: Found): string {
  return FOUND_FIRST + domainFields(domain) + FOUND_LAST[source];
}

export function foundDomidJson(domid: number): string {
  return `{"status":"found","domid":${domid}}`;
}

export function lookupJson(result: LookupResult): string | Failure {
  switch (result.status) {
    case 'found':
      return foundJson(result);
    case 'notFound':
      return NOT_FOUND;
    case 'ambiguous':
      return `{"status":"ambiguous","domains":[${result.domains.map(domainJson).join()}]}`;
    default:
      return unavailableFailure(result);
  }
}

export function domidJson(result: LookupResult): string | Failure {
  switch (result.status) {
    case 'found':
      return foundDomidJson(result.domain.domid);
    case 'notFound':
      return NOT_FOUND;
    case 'ambiguous':
      return `{"status":"ambiguous","domids":[${result.domains.map(({ domid }) => domid).join()}]}`;
    default:
      return unavailableFailure(result);
  }
}

export function waitJson(result: WaitResult): string | Failure {
  if (result.status === 'unavailable') return unavailableFailure(result);
  const json = lookupJson(result) as string;
  const reason = result.status === 'notFound' ? result.shutdownReason : undefined;
  const gone = reason === undefined ? '' : `,"shutdownReason":"${reason}"`;
  return `${json.slice(0, -1)}${gone},"reached":${result.reached}}`;
}

/** Encodes one result of several. `unavailable` is a result here, so that it does not affect the others. */
export function elementJson(result: LookupResult): string {
  if (result.status === 'unavailable') {
    return `{"status":"unavailable","cause":${JSON.stringify(result.cause)}}`;
  }
  return lookupJson(result) as string;
}

export function getJson(result: GetResult): string | Failure {
  switch (result.status) {
    case 'found':
      return `{"status":"found","domain":${domainJson(result.domain)}}`;
    case 'notFound':
      return NOT_FOUND;
    default:
      return unavailableFailure(result);
  }
}

/** @param id as JSON. */
export function failureReply(id: string, { code, message, data }: Failure): string {
  const more = data === undefined ? '' : `,"data":${JSON.stringify(data)}`;
  const error = `{"code":${code},"message":${JSON.stringify(message)}${more}}`;
  return `{"jsonrpc":"2.0","id":${id},"error":${asciiJson(error)}}`;
}

function asciiJson(json: string): string {
  return json.replace(
    /[^\0-~]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

export function changeJson({ kind, domid, uuid, domain, previous }: Change): string {
  const after = domain === undefined ? '' : `,"domain":${domainJson(domain)}`;
  const before = previous === undefined ? '' : `,"previous":${domainJson(previous)}`;
  return `{"kind":"${kind}","domid":${domid},"uuid":"${uuid}"${after}${before}}`;
}
