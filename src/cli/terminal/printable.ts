/** Makes text safe to print. A guest can write its own name, which must not move the cursor or start a new line. */

const NOT_TEXT = /[\p{C}\p{Zl}\p{Zp}]/gu;

/** Replaces control and other invisible characters by question marks. */
export function printable(text: string): string {
  return text.replaceAll(NOT_TEXT, '?');
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
