/** The text of what is answered. The replies asked for most are put together by hand: a tenth of JSON.stringify's time. */
import type { Change } from '../change.ts';
import type { Domain, Domid } from '../domain.ts';
import type { Found, GetResult, LookupResult, Source, Unavailable } from '../results.ts';
import { RpcCode } from './rpc.ts';

/** An error as a value: a thrown one costs more than the whole request. */
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
  const why = error?.message ?? (cause === 'timeout' ? 'it did not answer in time' : cause);
  return new Failure(RpcCode.unavailable, `the hypervisor cannot be asked: ${why}`, { cause });
}

/** `domain` as JSON. None of its texts needs escapes. */
export function domainJson(domain: Domain): string {
  return `{${domainFields(domain)}}`;
}

/** By bits: dying, shutdown, paused, blocked, running, hvm. Fewer pieces to put together, by half. */
const FLAGS: readonly string[] = Array.from(
  { length: 64 },
  (_, bits) =>
    `"dying":${bits % 2 === 1},"shutdown":${(bits & 2) !== 0},"paused":${(bits & 4) !== 0},"blocked":${(bits & 8) !== 0},"running":${(bits & 16) !== 0},"hvm":${(bits & 32) !== 0},"vcpus":`,
);

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

/** What hardly changes of a domain, and its text: each piece in one, because to put together costs more than to compare. */
interface Steady {
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

/** More than a host runs. One for each domid that ever came up was 16 MiB. */
const STEADIES = 4096;
/** By domid; those so far apart take each other's place. */
const steadies: (Steady | undefined)[] = Array.from({ length: STEADIES });

function steadyOf(domain: Domain): Steady {
  const { domid, uuid, vcpus, memoryBytes, maxMemoryBytes, ssidref, cpupool } = domain;
  const at = domid % STEADIES;
  const kept = steadies[at];
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
  return (steadies[at] = {
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
  const { first, middle, last } = steadyOf(domain);
  const fields = first + flagsOf(domain) + middle + domain.cpuTimeSeconds + last;
  if (shutdownReason === undefined && uniqueId === undefined) return fields;
  const reason = shutdownReason === undefined ? '' : `,"shutdownReason":"${shutdownReason}"`;
  return fields + reason + (uniqueId === undefined ? '' : `,"uniqueId":"${uniqueId}"`);
}

/** @param name as xenstore has it: any text whatever. */
export function namedDomainJson(domain: Domain, name: string | undefined): string {
  const named = name === undefined ? '' : `,"name":${JSON.stringify(name)}`;
  return `{${domainFields(domain)}${named}}`;
}

const NOT_FOUND = '{"status":"notFound"}';

const FOUND_FIRST = '{"status":"found","domain":{';
const FOUND_LAST: Readonly<Record<Source, string>> = {
  cache: '},"source":"cache"}',
  next: '},"source":"next"}',
  xenstore: '},"source":"xenstore"}',
  list: '},"source":"list"}',
};

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

/** One of many: that it could not be had does not spoil the others. */
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
