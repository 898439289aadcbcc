/** Whether colours are wanted, and understood. */
import type { Io } from '../io.ts';

/** See no-color.org: the variable counts where it is not empty. */
export function isColourWanted(io: Io): boolean {
  const { NO_COLOR, TERM } = io.environment;
  return io.outputIsTerminal() && (NO_COLOR ?? '') === '' && TERM !== 'dumb';
}
