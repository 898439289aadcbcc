/**
 * Makes untrusted text safe to print. A guest can write its own name, and anybody can answer on a socket: such text must
 * not move the cursor or start a new line.
 */

const NOT_TEXT = /[\p{C}\p{Zl}\p{Zp}]/gu;

/** Returns the text with question marks for control and other invisible characters, cut to `maxLength` UTF-16 units. */
export function printable(text: string, maxLength: number = Infinity): string {
  return text.slice(0, maxLength).replaceAll(NOT_TEXT, '?');
}

/** JSON with the same characters as escapes: a parser gets them, a terminal does not. */
export function printableJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(NOT_TEXT, (character) =>
    Array.from(
      { length: character.length },
      (_, unit) => `\\u${character.charCodeAt(unit).toString(16).padStart(4, '0')}`,
    ).join(''),
  );
}

/** Names the type of a value that has the wrong one, for an error message: `a number`, `an object`, `null`. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
