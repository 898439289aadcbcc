/** UUIDs from standard input, one a line. Each is looked up as soon as it is read. */
import type { Readable } from 'node:stream';
import type { Uuid } from '../../uuid.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { errorText } from '../terminal/error-text.ts';
import { parseTypedUuid } from '../typed-uuid.ts';
import type { Asker } from './asker.ts';

/** A UUID that a VM can have, or why the line holds none. */
export type InputLine = { readonly number: number } & (
  | { readonly uuid: Uuid; readonly problem?: never }
  | { readonly uuid?: never; readonly problem: Error }
);

/** Characters kept of a line. A UUID has at most 47, as `urn:uuid:{..}`; a longer line is malformed however it ends. */
const LINE_LENGTH_MAX = 1024;

/** Yields the lines that are not blank. */
export async function* readUuids(input: Readable): AsyncGenerator<InputLine> {
  let begun = '';
  let number = 0;
  input.setEncoding('utf8');
  for await (const chunk of input as AsyncIterable<string>) {
    const lines = chunk.split('\n');
    lines[0] = begun + (lines[0] ?? '');
    begun = (lines.pop() ?? '').slice(0, LINE_LENGTH_MAX);
    for (const line of lines) {
      number++;
      if (line.trim() !== '') yield inputLine(number, line.trim());
    }
  }
  if (begun.trim() !== '') yield inputLine(number + 1, begun.trim());
}

/** Reports a malformed line, and looks up the others. Closes standard input, which would keep the process alive. */
export async function askInput(io: Io, asker: Asker): Promise<void> {
  const input = io.input();
  const reading = askLines(io, asker, input);
  // When `failure` ends the race, closing the input makes this one reject too.
  reading.catch(() => undefined);
  try {
    await Promise.race([reading, asker.failure]);
  } finally {
    input.destroy();
  }
}

async function askLines(io: Io, asker: Asker, input: Readable): Promise<void> {
  for await (const { number, uuid, problem } of readUuids(input)) {
    if (uuid === undefined) {
      io.err(`xen-domid: line ${number}: ${errorText(problem)}\n`);
      asker.raise(ExitStatus.usage);
    } else {
      asker.ask(uuid);
      if (asker.busy) await asker.done();
    }
  }
}

function inputLine(number: number, text: string): InputLine {
  try {
    return { number, uuid: parseTypedUuid(text) };
  } catch (error) {
    return { number, problem: error as Error };
  }
}
