/** How many columns of a terminal a text takes. */
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

/** As much of `text` as fits in `most` columns; where that is not all, it ends with an ellipsis. */
export function fitText(text: string, most: number): string {
  if (textWidth(text) <= most) return text;
  let width = 1;
  let fitted = '';
  for (const character of text) {
    width += widthOf(character);
    if (width > most) break;
    fitted += character;
  }
  return `${fitted}…`;
}

export function padEnd(text: string, columns: number): string {
  return text + ' '.repeat(Math.max(0, columns - textWidth(text)));
}
