/** The comments and string literals of TypeScript source, with their lines. */

/** A passage of text. Line breaks inside it are single spaces. */
export interface Passage {
  readonly text: string;
  readonly lineAt: (offset: number) => number;
}

export interface SourceText {
  readonly comments: readonly Passage[];
  readonly strings: readonly Passage[];
}

interface Token {
  readonly kind: 'comment' | 'string' | 'other';
  readonly start: number;
  readonly text: string;
}

const TOKEN = new RegExp(
  [
    String.raw`(?<comment>\/\*[^]*?\*\/|\/\/[^\n]*(?:\n[ \t]*\/\/[^\n]*)*)`,
    String.raw`(?<string>'(?:[^'\\\n]|\\[^])*'|"(?:[^"\\\n]|\\[^])*")`,
    String.raw`(?<space>\s+)`,
    String.raw`(?<word>[\w$]+)`,
    String.raw`[^]`,
  ].join('|'),
  'y',
);
const REGEXP = /\/(?:[^\\/[\n]|\\.|\[(?:[^\\\]\n]|\\.)*\])+\/[a-z]*/y;

/** A slash after one of these begins a regular expression, after anything else a division. */
const BEFORE_REGEXP = /^(?:[(,=:[!&|?{};+\-*%<>~^]|return|typeof|case|in|of|=>|)$/;

/** Splits source into tokens; only comments and strings matter, the rest is skipped without a grammar. */
function* tokensOf(source: string): Generator<Token> {
  let at = 0;
  let last = '';
  /** Depths of braces in which a template literal continues. */
  const templates: number[] = [];
  let depth = 0;
  while (at < source.length) {
    const char = source.charAt(at);
    if (char === '`' || (char === '}' && templates.at(-1) === depth)) {
      const continues = char === '}';
      if (continues) {
        templates.pop();
        depth--;
      }
      const end = templateEnd(source, at + 1);
      yield { kind: 'string', start: at, text: source.slice(at, end) };
      if (source.startsWith('${', end - 2)) templates.push(++depth);
      at = end;
      last = source.startsWith('${', end - 2) ? '{' : '`';
      continue;
    }
    REGEXP.lastIndex = at;
    const isComment = source.startsWith('//', at) || source.startsWith('/*', at);
    if (char === '/' && !isComment && BEFORE_REGEXP.test(last) && REGEXP.test(source)) {
      at = REGEXP.lastIndex;
      last = '/';
      continue;
    }
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(source);
    const { comment, string, space } = match?.groups ?? {};
    const text = match?.[0] ?? char;
    if (comment !== undefined) yield { kind: 'comment', start: at, text };
    else if (string !== undefined) yield { kind: 'string', start: at, text };
    if (comment === undefined && space === undefined) last = text;
    if (text === '{') depth++;
    else if (text === '}') depth--;
    at += text.length;
  }
}

/** Returns the offset after the closing backtick or the next `${`. */
function templateEnd(source: string, from: number): number {
  for (let at = from; at < source.length; at++) {
    const char = source.charAt(at);
    if (char === '\\') at++;
    else if (char === '`') return at + 1;
    else if (char === '$' && source.charAt(at + 1) === '{') return at + 2;
  }
  return source.length;
}

/** Returns a passage for `text`, which begins on `line`. Replaces each match of `margin`, at line breaks, by a space. */
export function passageOf(text: string, line: number, margin: RegExp = /\n\s*/g): Passage {
  const breaks: number[] = [];
  let joined = '';
  let from = 0;
  for (const match of text.matchAll(margin)) {
    joined += `${text.slice(from, match.index)} `;
    breaks.push(joined.length);
    from = match.index + match[0].length;
  }
  joined += text.slice(from);
  return {
    text: joined,
    lineAt: (offset) => line + breaks.filter((start) => start <= offset).length,
  };
}

/** Comments that direct a tool. */
const DIRECTIVE = /^\s*(?:oxlint-|eslint-|prettier-|@ts-|c8 |v8 |#region|<reference)/;

export function sourceTextOf(source: string): SourceText {
  const comments: Passage[] = [];
  const strings: Passage[] = [];
  for (const { kind, start, text } of tokensOf(source)) {
    const line = source.slice(0, start).split('\n').length;
    if (kind === 'string') {
      strings.push(passageOf(text.slice(1).replace(/(?:\$\{|['"`])$/, ''), line));
      continue;
    }
    const inner = text.startsWith('/*')
      ? text.replace(/^\/\*+[ \t]*/, '').replace(/\s*\*+\/$/, '')
      : text.replace(/^\/\/ ?/, '');
    if (!DIRECTIVE.test(inner)) {
      comments.push(passageOf(inner, line, /\n[ \t]*(?:\*(?!\/)|\/\/)?[ \t]*/g));
    }
  }
  return { comments, strings };
}
