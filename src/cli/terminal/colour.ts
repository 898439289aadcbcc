/** Whether to print colours. */
import type { Io } from '../io.ts';

/** See no-color.org: an empty NO_COLOR has no effect. */
export function isColourWanted(io: Io): boolean {
  const { NO_COLOR, TERM } = io.environment;
  return io.outputIsTerminal() && (NO_COLOR ?? '') === '' && TERM !== 'dumb';
}
