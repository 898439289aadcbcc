/** Colours, and whether to print them. */
import { styleText } from 'node:util';
import type { Io } from '../io.ts';

/** See no-color.org: an empty NO_COLOR has no effect. */
export function isColourWanted(io: Pick<Io, 'environment' | 'outputIsTerminal'>): boolean {
  const { NO_COLOR, TERM } = io.environment;
  return io.outputIsTerminal() && (NO_COLOR ?? '') === '' && TERM !== 'dumb';
}

export type Style = 'bold' | 'dim' | 'green' | 'red' | 'yellow';

export function styled(style: Style, text: string): string {
  // The caller has decided to use colours: styleText must not check the stream again.
  return (styleText as (format: string, text: string, options: object) => string)(style, text, {
    validateStream: false,
  });
}
