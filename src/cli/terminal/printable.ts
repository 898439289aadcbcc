/** A guest can write its own name: nothing in it may move the cursor, colour the screen or start a line. */

const NOT_TEXT = /[\p{C}\p{Zl}\p{Zp}]/gu;

/** `text` with a question mark for whatever a terminal would obey instead of showing it. */
export function printable(text: string): string {
  return text.replaceAll(NOT_TEXT, '?');
}

/** JSON, with the same characters as escapes: who parses it gets them, who looks at it is safe from them. */
export function printableJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(NOT_TEXT, (character) =>
    Array.from(
      { length: character.length },
      (_, unit) => `\\u${character.charCodeAt(unit).toString(16).padStart(4, '0')}`,
    ).join(''),
  );
}
