/** The title of a skipped test contains the reason why this cell cannot run it. */

const MARK = /^(?<title>.*) \[cannot: (?<reason>.*)\]$/s;

export function titleWith(title: string, reason: string): string {
  return `${title} [cannot: ${reason}]`;
}

/** Returns title and reason; undefined without a reason. */
export function reasonOf(marked: string): { title: string; reason: string } | undefined {
  const groups = MARK.exec(marked)?.groups;
  if (groups === undefined) return undefined;
  return { title: groups['title'] ?? '', reason: groups['reason'] ?? '' };
}
