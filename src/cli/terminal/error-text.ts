/** The text of an error, for a person at a terminal. */
import { XenError } from '../../xen-error.ts';
import { printable } from '../../printable.ts';

/** Appends the code of `error`, if it has one: `docs/errors.md` lists the errors by code. */
export function withCode(text: string, error: unknown): string {
  return error instanceof XenError ? `${text} [${error.code}]` : text;
}

export function errorText(error: Error): string {
  return withCode(printable(error.message), error);
}
