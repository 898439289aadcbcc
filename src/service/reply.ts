/** The text of what is answered. The replies asked for most are put together by hand: a tenth of JSON.stringify's time. */
import type { Domain, Domid } from '../domain.ts';
import type { Found, GetResult, LookupResult, Source, Unavailable } from '../results.ts';
import type { Shared } from './held.ts';
import { RpcCode } from './protocol.ts';

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

/** What a list takes that is yet to be made: measured. */
const UNMADE_BYTES = 1024;

/** JSON too long to be made at once: each slice is made when the reader has taken the one before. */
export class LongText {
  readonly slices: Generator<string, void, void>;
  /** What is kept until the last slice has been made. */
  readonly keeps: readonly Shared[];

  constructor(slices: Generator<string, void, void>, keeps: readonly Shared[]) {
    this.slices = slices;
    this.keeps = keeps;
  }

  /** What it takes itself, beside what it keeps. */
  get ownBytes(): number {
    return UNMADE_BYTES * this.keeps.length;
  }

  /** How much more may be kept for its sake. */
  get growth(): number {
    return this.keeps.reduce((sum, { bytes }) => sum + bytes, this.ownBytes);
  }
}

/** JSON text. */
export type Text = string | LongText;

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

/** A list of more is not made before its reader takes it: many who wait for one list have it at once. */
const DOMAINS_AT_ONCE = 16;
/** Domains of one slice: some 64 KiB. */
const DOMAINS_A_SLICE = 192;
/** What a domain takes in memory, measured. */
const DOMAIN_BYTES = 256;

/**
 * `before`, the domains as a JSON array, `after`: at once where they are few.
 * @param names of those that have one; without it none is told.
 */
export function domainsText(
  before: string,
  domains: readonly Domain[],
  after: string,
  names?: ReadonlyMap<Domid, string>,
): Text {
  const slices = domainSlices(before, domains, after, names);
  if (domains.length <= DOMAINS_AT_ONCE) return [...slices].join('');
  const keeps: Shared[] = [{ of: domains, bytes: domains.length * DOMAIN_BYTES }];
  if (names !== undefined) keeps.push({ of: names, bytes: [...names.values()].join('').length });
  return new LongText(slices, keeps);
}

function* domainSlices(
  before: string,
  domains: readonly Domain[],
  after: string,
  names: ReadonlyMap<Domid, string> | undefined,
): Generator<string, void, void> {
  let slice = `${before}[`;
  for (const [index, domain] of domains.entries()) {
    if (index > 0) slice += ',';
    slice +=
      names === undefined ? domainJson(domain) : namedDomainJson(domain, names.get(domain.domid));
    if ((index + 1) % DOMAINS_A_SLICE === 0) {
      yield slice;
      slice = '';
    }
  }
  yield `${slice}]${after}`;
}

/** `text` between `before` and `after`. */
export function within(before: string, text: Text, after: string): Text {
  if (typeof text === 'string') return before + text + after;
  return new LongText(sliced([before, text, after]), text.keeps);
}

/** The texts one after the other. */
export function joined(texts: readonly Text[]): Text {
  if (texts.every((text) => typeof text === 'string')) return texts.join('');
  const keeps = texts.flatMap((text) => (typeof text === 'string' ? [] : text.keeps));
  return new LongText(sliced(texts), keeps);
}

function* sliced(texts: readonly Text[]): Generator<string, void, void> {
  for (const text of texts) {
    if (typeof text === 'string') yield text;
    else yield* text.slices;
  }
}

/** @param id as JSON. */
export function resultReply(id: string, result: Text): Text {
  return within(`{"jsonrpc":"2.0","id":${id},"result":`, result, '}');
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
