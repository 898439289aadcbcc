/** An error as a person at a terminal is told of it. */
import { XenError } from '../../xen-error.ts';
import { printable } from './printable.ts';

/** `text` and the code of `error`, where it has one: by it `docs/errors.md` is searched. */
export function withCode(text: string, error: unknown): string {
  return error instanceof XenError ? `${text} [${error.code}]` : text;
}

export function errorText(error: Error): string {
  return withCode(printable(error.message), error);
}
