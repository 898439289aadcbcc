/** Answers that may be too long to be built at once: built slice by slice as the client reads. */
import type { Domain, Domid } from '../../domain.ts';
import { domainJson, namedDomainJson } from '../../protocol/encode.ts';
import type { SharedMemory } from '../memory.ts';

/** What a list takes that is yet to be made: measured. */
const UNMADE_BYTES = 1024;

/** JSON too long to be made at once: each slice is made when the reader has taken the one before. */
export class LongText {
  readonly slices: Generator<string, void, void>;
  /** What is kept until the last slice has been made. */
  readonly keeps: readonly SharedMemory[];

  constructor(slices: Generator<string, void, void>, keeps: readonly SharedMemory[]) {
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
  const keeps: SharedMemory[] = [{ of: domains, bytes: domains.length * DOMAIN_BYTES }];
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
