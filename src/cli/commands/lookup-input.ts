/** UUIDs from standard input, a line each, asked for as they come. */
import type { Readable } from 'node:stream';
import type { Uuid } from '../../uuid.ts';
import { errorText } from '../terminal/error-text.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import type { Asker } from './lookup.ts';
import { parseVmUuid } from '../../vm-uuid.ts';

/** The UUID of a VM, or why it is none. */
export type InputLine = { readonly number: number } & (
  | { readonly uuid: Uuid; readonly problem?: never }
  | { readonly uuid?: never; readonly problem: Error }
);

/** No line that is a UUID is nearly as long; what follows up to its end is not kept. */
const MOST_LINE = 1024;

/** The lines that are not empty. */
export async function* readUuids(input: Readable): AsyncGenerator<InputLine> {
  let begun = '';
  let number = 0;
  input.setEncoding('utf8');
  for await (const chunk of input as AsyncIterable<string>) {
    const lines = chunk.split('\n');
    lines[0] = begun + (lines[0] ?? '');
    begun = (lines.pop() ?? '').slice(0, MOST_LINE);
    for (const line of lines) {
      number++;
      if (line.trim() !== '') yield inputLine(number, line.trim());
    }
  }
  if (begun.trim() !== '') yield inputLine(number + 1, begun.trim());
}

/** A line that is no UUID is told of, and the others are asked for. */
export async function askInput(io: Io, asker: Asker): Promise<void> {
  const input = io.input();
  const reading = askLines(io, asker, input);
  // What ends the reading early is told by the other promise.
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
    return { number, uuid: parseVmUuid(text) };
  } catch (error) {
    return { number, problem: error as Error };
  }
}
