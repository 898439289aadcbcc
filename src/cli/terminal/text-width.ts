/** The width of a text in columns of a terminal. */
import { eastAsianWidth } from 'get-east-asian-width';

const MARK = /^\p{M}$/u;
const ASCII = /^[ -~]*$/;

function widthOf(character: string): number {
  return MARK.test(character) ? 0 : eastAsianWidth(character.codePointAt(0) ?? 0);
}

export function textWidth(text: string): number {
  if (ASCII.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += widthOf(character);
  return width;
}

/** Shortens `text` to at most `max` columns. A shortened text ends with an ellipsis. */
export function fitText(text: string, max: number): string {
  if (textWidth(text) <= max) return text;
  let width = 1;
  let fitted = '';
  for (const character of text) {
    width += widthOf(character);
    if (width > max) break;
    fitted += character;
  }
  return `${fitted}…`;
}

export function padEnd(text: string, columns: number): string {
  return text + ' '.repeat(Math.max(0, columns - textWidth(text)));
}
