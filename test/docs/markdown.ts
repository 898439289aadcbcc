/** Reads the documentation's pages: code, headings and links. */
import { readFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

export const root: string = join(import.meta.dirname, '../../..');

/** All pages, relative to the root of the repository. */
export const pages: readonly string[] = execFileSync(
  'find',
  ['.', '-name', '*.md', '-not', '-path', '*/node_modules/*', '-not', '-path', './dist/*'],
  { cwd: root, encoding: 'utf8' },
)
  .split('\n')
  .filter((page) => page !== '')
  .map((page) => page.slice(2))
  .toSorted();

export interface Block {
  readonly language: string;
  readonly text: string;
  /** Line of its fence, from 1. */
  readonly line: number;
}

export function read(page: string): string {
  return readFileSync(join(root, page), 'utf8');
}

export function blocksOf(page: string): Block[] {
  const text = read(page);
  return [...text.matchAll(/^```(?<language>[^\n]*)\n(?<body>.*?)^```$/gms)].map((match) => ({
    language: match.groups?.['language'] ?? '',
    text: match.groups?.['body'] ?? '',
    line: text.slice(0, match.index).split('\n').length,
  }));
}

/** Returns all code: fenced, indented and inline. */
export function codeOf(page: string): string[] {
  const text = read(page);
  const fenced = blocksOf(page).flatMap((block) => block.text.split('\n'));
  const prose = text.replaceAll(/^```.*?^```$/gms, '');
  const indented = [...prose.matchAll(/^ {4}(.*)$/gm)].map(([, line = '']) => line);
  const inline = [...prose.matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code);
  return [...fenced, ...indented, ...inline];
}

export interface Link {
  readonly page: string;
  readonly target: string;
}

/** Returns the links to places in the repository. */
export function relativeLinksOf(page: string): Link[] {
  const prose = read(page)
    .replaceAll(/^```.*?^```$/gms, '')
    .replaceAll(/`[^`\n]*`/g, '');
  const links = [...prose.matchAll(/\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"/g)];
  return links
    .map(([, inline, html]) => ({ page, target: inline ?? html ?? '' }))
    .filter(({ target }) => !/^[a-z]+:/.test(target));
}

/** Returns the anchors that GitHub makes of the headings. */
export function anchorsOf(page: string): Set<string> {
  const prose = read(page).replaceAll(/^```.*?^```$/gms, '');
  const seen = new Map<string, number>();
  const anchors = [...prose.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => {
    const name = heading
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-');
    const before = seen.get(name) ?? 0;
    seen.set(name, before + 1);
    return before === 0 ? name : `${name}-${before}`;
  });
  return new Set(anchors);
}
