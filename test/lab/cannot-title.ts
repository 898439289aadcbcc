/** How a skipped test carries the reason why this cell cannot run it: in its title. */

const MARK = /^(?<title>.*) \[cannot: (?<reason>.*)\]$/s;

export function titleWith(title: string, reason: string): string {
  return `${title} [cannot: ${reason}]`;
}

/** Title and reason, undefined where nobody gave one. */
export function reasonOf(marked: string): { title: string; reason: string } | undefined {
  const groups = MARK.exec(marked)?.groups;
  if (groups === undefined) return undefined;
  return { title: groups['title'] ?? '', reason: groups['reason'] ?? '' };
}
