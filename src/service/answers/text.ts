/** Answers as JSON text. Long ones are serialised in slices as the client reads. */
import type { Domain, Domid } from '../../domain.ts';
import { domainJson, namedDomainJson } from '../../protocol/encode.ts';
import type { SharedMemory } from '../memory.ts';

/** Memory of a queued list that is not serialised yet, measured. */
const UNMADE_BYTES = 1024;

/** JSON serialised in slices: each slice is made when the client has read the one before. */
export class LongText {
  readonly slices: Generator<string, void, void>;
  /** Memory that is used until the last slice is made. */
  readonly keeps: readonly SharedMemory[];

  constructor(slices: Generator<string, void, void>, keeps: readonly SharedMemory[]) {
    this.slices = slices;
    this.keeps = keeps;
  }

  /** Estimated memory of the text, bytes, without {@link keeps}. */
  get ownBytes(): number {
    return UNMADE_BYTES * this.keeps.length;
  }

  /** Estimated memory of the text and of everything it keeps, bytes. */
  get growth(): number {
    return this.keeps.reduce((sum, { bytes }) => sum + bytes, this.ownBytes);
  }
}

/** JSON text. */
export type Text = string | LongText;

/** Longer lists are serialised in slices: many clients may receive the same list at once. */
const DOMAINS_AT_ONCE = 16;
/** Domains in a slice: about 64 KiB. */
const DOMAINS_A_SLICE = 192;
/** Memory of a domain, measured. */
const DOMAIN_BYTES = 256;

/**
 * Returns `before`, the domains as a JSON array, `after`. Short lists are serialised at once.
 * @param names to be included, of the domains that have one.
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

/** Returns `text` between `before` and `after`. */
export function within(before: string, text: Text, after: string): Text {
  if (typeof text === 'string') return before + text + after;
  return new LongText(sliced([before, text, after]), text.keeps);
}

/** Concatenates the texts. */
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
