/** Comments, messages and pages are in plain English: few riddle words, and none of the phrases below. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { pages, root } from './docs/markdown.ts';
import { type Passage, passageOf, sourceTextOf } from './support/source-text.ts';

/** Words that make a reader guess the thing that they stand for. */
const RIDDLE = /\b(?:who|whoever|whom|whose|what|whatever|whosoever)\b/gi;
const MOST_IN_COMMENTS = 3 / 1000;
/** Pages also ask real questions, in headings such as "What it costs". */
const MOST_IN_PAGES = 5 / 1000;
/** A small room or page may have this many. */
const FEW = 2;

interface Phrase {
  readonly pattern: RegExp;
  readonly instead: string;
}

/** Phrases that must not come back. */
const PHRASES: readonly Phrase[] = [
  { pattern: /\bshall\b/gi, instead: 'must, or the present tense' },
  { pattern: /\bmend(?:s|ed|ing)?\b/gi, instead: 'fix, repair' },
  { pattern: /\bwho(?:so)?ever\b/gi, instead: 'the caller, each client, a process that' },
  { pattern: /\bwho asks\b|\b(?:those|one|ones|him|them) who\b/gi, instead: 'callers, clients' },
  { pattern: /\bthat is none\b/gi, instead: 'invalid, not a ...' },
  { pattern: /\b(?:told|tells?|telling) of\b/gi, instead: 'report, publish, notify' },
  { pattern: /\b(?:hears?|heard|hearing) of\b/gi, instead: 'receive, learn, be notified' },
  { pattern: /\bof before\b/gi, instead: 'previous, earlier' },
  { pattern: /\b(?:is|are|was|were) to be\b/gi, instead: 'must, will, or the present tense' },
  { pattern: /\byet to (?:be|come)\b/gi, instead: 'pending' },
  { pattern: /\bto be had\b/gi, instead: 'available' },
  { pattern: /\b(?:is|are|was|were) wanted\b/gi, instead: 'expected' },
  { pattern: /\b(?:comes?|came|coming) of\b/gi, instead: 'result, cause, outcome' },
  { pattern: /(?<!\bnot )\b(?:has|have) to\b(?! do\b)/gi, instead: 'must' },
  { pattern: /\bbeside\b/gi, instead: 'next to, in addition to, at the same time as' },
  { pattern: /\b(?:by|for|to|of|in|from|with) (?:[\w-]+ ){1,2}alone\b/gi, instead: 'only' },
  { pattern: /\bin the midst\b/gi, instead: 'during, inside' },
  { pattern: /\bof late\b/gi, instead: 'recently' },
  { pattern: /\bseldom\b/gi, instead: 'rarely' },
  { pattern: /\b(?:is|are|be) dear\b/gi, instead: 'expensive, slow' },
  { pattern: /\bgiven back\b/gi, instead: 'returned, freed' },
  { pattern: /\blets? go of\b/gi, instead: 'release, drop, free' },
  { pattern: /\bheld against\b/gi, instead: 'compared with, checked against' },
  { pattern: /\bits like\b|\bthe like of\b/gi, instead: 'similar' },
  { pattern: /\bas it were\b/gi, instead: 'nothing: leave it out' },
];

/** Beginnings of a comment that leave the thing unnamed. */
const BEGINNINGS: readonly Phrase[] = [
  { pattern: /^(?:Who|Whom|Whose|What)\b/g, instead: 'the name of the thing, as a noun phrase' },
  { pattern: /^Of\b/g, instead: 'the name of the thing, as a noun phrase' },
  { pattern: /^(?:Those|One) (?:that|which|of)\b/g, instead: 'the plain noun' },
  { pattern: /^As (?=`|[A-Z])/g, instead: '"Example:" or "Same as"' },
];

/** Directories of code. `src` and `test` stand for the files in them, not below them. */
const ROOTS = ['src', 'test', 'bench', 'docs'];

/** Pages that are no prose of this project: records, results, and questions to the authors of issues. */
const SKIPPED = /^(?:CHANGELOG\.md|docs\/results\/|\.github\/)/;
/** Pages with tables that quote titles of tests. */
const TABLES_QUOTE = /^docs\/(?:contract|reliability)\.md$/;

interface Located {
  readonly file: string;
  readonly passage: Passage;
}

function codeFiles(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.c?ts$/.test(file))
    .map((file) => join(folder, file))
    .toSorted();
}

/** A room of code: a folder directly below one of the roots. */
function roomOf(file: string): string {
  const [top = '', room = ''] = dirname(file).split('/');
  return room === '' ? top : `${top}/${room}`;
}

function located(files: readonly string[], kind: 'comments' | 'strings'): Located[] {
  return files.flatMap((file) =>
    sourceTextOf(readFileSync(join(root, file), 'utf8'))[kind].map((passage) => ({
      file,
      passage: withoutCode(passage),
    })),
  );
}

const blank = (code: string): string => '`'.repeat(code.length);

/** Blanks code between backticks, and links: their words are names. */
function withoutCode({ text, lineAt }: Passage): Passage {
  return {
    text: text.replaceAll(/`[^`]*`|\]\([^)]*\)|\{@link [^}]*\}|https?:\S+/g, blank),
    lineAt,
  };
}

/** The prose of a page: paragraphs, lists and tables, without blocks of code. */
function proseOf(page: string): Located[] {
  const text = readFileSync(join(root, page), 'utf8').replaceAll(
    /^```.*?^```$|^<!--.*?-->$/gms,
    (block) => block.replaceAll(/[^\n]/g, ''),
  );
  const prose = TABLES_QUOTE.test(page) ? text.replaceAll(/^\|.*$/gm, '') : text;
  return prose.split(/(?<=\n)(?=\n)/).reduce<Located[]>((passages, part) => {
    const line = passages.at(-1)?.passage.lineAt(Infinity) ?? 1;
    return [...passages, { file: page, passage: withoutCode(passageOf(part, line)) }];
  }, []);
}

function hits(places: readonly Located[], phrases: readonly Phrase[]): string[] {
  return places.flatMap(({ file, passage: { text, lineAt } }) =>
    phrases.flatMap(({ pattern, instead }) =>
      [...text.matchAll(pattern)].map(({ 0: found, index }) => {
        const around = text.slice(Math.max(0, index - 25), index + found.length + 25).trim();
        return `${file}:${lineAt(index)}: "${found}" in "${around}"; better: ${instead}`;
      }),
    ),
  );
}

/** Returns the places of riddle words if there are too many, else nothing. */
function riddles(places: readonly Located[], share: number): string[] {
  const found = hits(places, [{ pattern: RIDDLE, instead: 'the name of the thing' }]);
  const words = places.reduce(
    (sum, { passage }) => sum + (passage.text.match(/[A-Za-z][\w'-]*/g)?.length ?? 0),
    0,
  );
  const most = Math.max(FEW, words * share);
  if (found.length <= most) return [];
  return [`${found.length} in ${words} words, ${Math.floor(most)} are allowed`, ...found];
}

const code = ROOTS.flatMap(codeFiles);
const rooms = [...new Set(code.map(roomOf))];

/** One room: `npx jest dist/test/language -t src/client`. */
describe.each(rooms)('%s:', (room) => {
  const files = code.filter((file) => roomOf(file) === room);
  const comments = located(files, 'comments');

  test('comments have few riddle words', () => {
    expect(riddles(comments, MOST_IN_COMMENTS)).toEqual([]);
  });

  test('comments have no phrase that is a riddle', () => {
    expect([...hits(comments, PHRASES), ...hits(comments, BEGINNINGS)]).toEqual([]);
  });

  if (room.startsWith('src')) {
    test('messages have no phrase that is a riddle', () => {
      expect(hits(located(files, 'strings'), PHRASES)).toEqual([]);
    });
  }
});

describe.each(pages.filter((name) => !SKIPPED.test(name)))('%s:', (page: string) => {
  const prose = proseOf(page);

  test('the page has few riddle words', () => {
    expect(riddles(prose, MOST_IN_PAGES)).toEqual([]);
  });

  test('the page has no phrase that is a riddle', () => {
    expect(hits(prose, PHRASES)).toEqual([]);
  });
});

function commentsOf(source: string): string[] {
  return sourceTextOf(source).comments.map(({ text }) => text);
}

describe('the search', () => {
  test('finds comments, and no text of strings, templates and regular expressions', () => {
    expect(
      commentsOf(
        [
          "const one = '// no'; // one",
          'const two = `/* no */ ${f({ a: `}` /* two */ })} // no`;',
          String.raw`const three = /[/*]\/\/ no/g; /* three */`,
          'const four = 4 / 2; /** four',
          ' * lines */ // oxlint-disable-line no',
        ].join('\n'),
      ),
    ).toEqual(['one', 'two', 'three', 'four lines']);
  });

  test('gives the line of a phrase, also of one that is broken into two lines', () => {
    const [passage] = sourceTextOf(
      '\n\n/**\n * It is\n * to be here.\n * And it shall.\n */',
    ).comments;
    const places = [{ file: 'f', passage: passage as Passage }];
    expect(hits(places, PHRASES)).toEqual([
      'f:6: "shall" in "It is to be here. And it shall."; better: must, or the present tense',
      'f:4: "is to be" in "It is to be here. And it shall."; better: must, will, or the present tense',
    ]);
  });

  test('ignores code in backticks', () => {
    const [passage] = sourceTextOf('// `shall` and {@link what}').comments;
    const places = [{ file: 'f', passage: withoutCode(passage as Passage) }];
    expect([...hits(places, PHRASES), ...hits(places, [{ pattern: RIDDLE, instead: '' }])]).toEqual(
      [],
    );
  });
});
