/** Answers as JSON text. Long ones are serialised in slices as the client reads. */
import { Buffer } from 'node:buffer';
import type { Domain, Domid } from '../../domain.ts';
import { domainJson, namedDomainJson } from '../../protocol/encode.ts';
import type { SharedMemory } from '../memory.ts';

/** Memory of a queued list that is not serialised yet, measured. */
const UNMADE_BYTES = 1024;

/** Slices of JSON; bytes are UTF-8. */
export type Slices = Generator<string | Uint8Array, void, void>;

/** JSON serialised in slices: each slice is made when the client has read the one before. */
export class LongText {
  readonly slices: Slices;
  /** Memory that is used until the last slice is made. */
  readonly keeps: readonly SharedMemory[];

  /** Estimated memory that this text adds to that of the others, bytes. */
  readonly growth: number;

  constructor(slices: Slices, keeps: readonly SharedMemory[], growth: number) {
    this.slices = slices;
    this.keeps = keeps;
    this.growth = growth;
  }

  /** Estimated memory of the text, bytes, without {@link keeps}. */
  get ownBytes(): number {
    return UNMADE_BYTES * this.keeps.length;
  }
}

/** JSON text. */
export type Text = string | LongText;

/** Longer lists are serialised in slices: many clients may receive the same list at once. */
const DOMAINS_AT_ONCE = 16;
/** Domains in a slice: about 64 KiB. */
const DOMAINS_A_SLICE = 192;
/** Memory of a domain and of its text, measured. */
const DOMAIN_BYTES = 256 + 384;

/** A text that is serialised once, as far as its fastest reader has come, for any number of readers. */
class SharedText {
  readonly #source: Generator<string, void, void>;
  readonly #slices: Uint8Array[] = [];

  constructor(source: Generator<string, void, void>) {
    this.#source = source;
  }

  *read(): Generator<Uint8Array, void, void> {
    for (let index = 0; ; index++) {
      if (index === this.#slices.length) {
        const slice = this.#source.next();
        if (slice.done === true) return;
        this.#slices.push(Buffer.from(slice.value));
      }
      yield this.#slices[index] as Uint8Array;
    }
  }
}

type Names = ReadonlyMap<Domid, string>;
const NO_NAMES: Names = new Map();
/** The texts of the lists that clients are reading, by their names. */
const texts = new WeakMap<readonly Domain[], WeakMap<Names, SharedText>>();

/** @returns the text of the list, and whether it is a new one. */
function textOf(
  domains: readonly Domain[],
  names: Names | undefined,
): { text: SharedText; isNew: boolean } {
  let byNames = texts.get(domains);
  if (byNames === undefined) texts.set(domains, (byNames = new WeakMap()));
  const key = names ?? NO_NAMES;
  const made = byNames.get(key);
  if (made !== undefined) return { text: made, isNew: false };
  const text = new SharedText(domainSlices(domains, names));
  byNames.set(key, text);
  return { text, isNew: true };
}

/**
 * Returns `before`, the domains as a JSON array, `after`. Short lists are serialised at once, long ones once for all
 * clients that are sent the same array.
 * @param names to be included, of the domains that have one.
 */
export function domainsText(
  before: string,
  domains: readonly Domain[],
  after: string,
  names?: Names,
): Text {
  if (domains.length <= DOMAINS_AT_ONCE) {
    return before + [...domainSlices(domains, names)].join('') + after;
  }
  const { text, isNew } = textOf(domains, names);
  const slices = sliced([before, new LongText(text.read(), [], 0), after]);
  const keeps = [domainsMemory(domains)];
  if (names !== undefined) keeps.push({ of: names, bytes: [...names.values()].join('').length });
  const shared = isNew ? keeps.reduce((sum, { bytes }) => sum + bytes, 0) : 0;
  return new LongText(slices, keeps, shared + UNMADE_BYTES * keeps.length);
}

/** The memory of a list, while it is being serialised. */
export function domainsMemory(domains: readonly Domain[]): SharedMemory {
  return { of: domains, bytes: domains.length * DOMAIN_BYTES };
}

function* domainSlices(
  domains: readonly Domain[],
  names: Names | undefined,
): Generator<string, void, void> {
  let slice = '[';
  for (const [index, domain] of domains.entries()) {
    if (index > 0) slice += ',';
    slice +=
      names === undefined ? domainJson(domain) : namedDomainJson(domain, names.get(domain.domid));
    if ((index + 1) % DOMAINS_A_SLICE === 0) {
      yield slice;
      slice = '';
    }
  }
  yield `${slice}]`;
}

/** Returns `text` between `before` and `after`. */
export function within(before: string, text: Text, after: string): Text {
  if (typeof text === 'string') return before + text + after;
  return new LongText(sliced([before, text, after]), text.keeps, text.growth);
}

/** Concatenates the texts. */
export function joined(parts: readonly Text[]): Text {
  if (parts.every((text) => typeof text === 'string')) return parts.join('');
  const keeps = parts.flatMap((text) => (typeof text === 'string' ? [] : text.keeps));
  const growth = parts.reduce((sum, text) => sum + (typeof text === 'string' ? 0 : text.growth), 0);
  return new LongText(sliced(parts), keeps, growth);
}

function* sliced(parts: readonly Text[]): Slices {
  for (const text of parts) {
    if (typeof text === 'string') yield text;
    else yield* text.slices;
  }
}

/** @param id as JSON. */
export function resultReply(id: string, result: Text): Text {
  return within(`{"jsonrpc":"2.0","id":${id},"result":`, result, '}');
}
