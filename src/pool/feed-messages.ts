/** The messages of a host's feed: published runs of changes, and the parts of an answer to `feed` and `list`. */
import type { Change, Token } from '../change.ts';
import {
  fieldsOf,
  protocolError,
  readChanges,
  readDomains,
  readMessage,
} from '../protocol/decode.ts';
import { changeJson, namedDomainJson } from '../protocol/encode.ts';
import type { ListedDomain } from '../results.ts';
import { parsePosition, type Position, type Run, tokenOf } from './position.ts';

/** Longest text of changes or domains in one message, UTF-16 units of up to 3 bytes; servers allow 1 MiB by default. */
const PART_LENGTH_MAX = 262_144;

type Fields = Readonly<Record<string, unknown>>;

/** The net result of a `feed` request. */
export interface FeedAnswer {
  readonly kind: 'snapshot' | 'changes';
  readonly domains: readonly ListedDomain[];
  readonly changes: readonly Change[];
  readonly conflated: boolean;
  readonly token: Token;
}

/**
 * Encodes the changes between two positions, as messages of bounded length. Conflated changes that do not fit into one
 * message are left out: subscribers notice the gap and ask for them.
 */
export function runMessages({ after, to, changes }: Run): string[] {
  const texts = changes.map(changeJson);
  const isWhole = changes.length === to.revision - after.revision;
  const parts = inParts(texts);
  if (!isWhole) return parts.length > 1 ? [] : [runJson(after, to, texts)];
  let { revision } = after;
  return parts.map((part) => {
    const from = { epoch: to.epoch, revision };
    revision += part.length;
    return runJson(from, { epoch: to.epoch, revision }, part);
  });
}

function runJson(after: Position, to: Position, texts: readonly string[]): string {
  return `{"after":"${tokenOf(after)}","token":"${tokenOf(to)}","changes":[${texts.join()}]}`;
}

/** Decodes a published run. @throws XenError `ERR_SERVICE_PROTOCOL`. */
export function readRun(text: string): Run {
  const fields = readMessage(text);
  const after = parsePosition(fields['after']);
  const to = parsePosition(fields['token']);
  if (after === undefined || to === undefined || after.epoch !== to.epoch)
    throw protocolError('changes without their positions');
  return { after, to, changes: readChanges(fields['changes']) };
}

/** Encodes domains as the parts of an answer. */
export function domainParts(domains: readonly ListedDomain[], token: Token): string[] {
  return partMessages(
    'snapshot',
    'domains',
    domains.map((domain) => namedDomainJson(domain, domain.name)),
    token,
    false,
  );
}

/** Encodes changes as the parts of an answer. */
export function changeParts(
  changes: readonly Change[],
  token: Token,
  conflated: boolean,
): string[] {
  return partMessages('changes', 'changes', changes.map(changeJson), token, conflated);
}

function partMessages(
  kind: FeedAnswer['kind'],
  field: 'domains' | 'changes',
  texts: readonly string[],
  token: Token,
  conflated: boolean,
): string[] {
  const parts = inParts(texts);
  return parts.map((part, index) => {
    const head = `"part":${index},"last":${index === parts.length - 1},"kind":"${kind}"`;
    return `{"result":{${head},"conflated":${conflated},"token":${JSON.stringify(token)},"${field}":[${part.join()}]}}`;
  });
}

/** Decodes the parts of an answer. @throws XenError `ERR_SERVICE_PROTOCOL`. */
export function readParts(parts: readonly Fields[]): FeedAnswer {
  const last = fieldsOf(parts.at(-1), 'answer');
  const { kind, token } = last;
  if ((kind !== 'snapshot' && kind !== 'changes') || parsePosition(token) === undefined)
    throw protocolError('an answer without its kind and token');
  const isSnapshot = kind === 'snapshot';
  return {
    kind,
    domains: isSnapshot ? parts.flatMap((part) => readDomains(part['domains'])) : [],
    changes: isSnapshot ? [] : parts.flatMap((part) => readChanges(part['changes'])),
    conflated: last['conflated'] === true,
    token: token as Token,
  };
}

/** Splits texts into groups of bounded length. @returns at least one group. */
function inParts(texts: readonly string[]): string[][] {
  const parts: string[][] = [[]];
  let length = 0;
  for (const text of texts) {
    if (length > 0 && length + text.length > PART_LENGTH_MAX) {
      parts.push([]);
      length = 0;
    }
    length += text.length;
    parts.at(-1)?.push(text);
  }
  return parts;
}
