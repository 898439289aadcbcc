/** `xen-domid lookup`: prints the domid of each UUID. */
import type { Uuid } from '../../uuid.ts';
import { parseVmUuid } from '../../vm-uuid.ts';
import { type AskOptions, askService } from '../connect.ts';
import type { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { Asker } from './asker.ts';
import { askInput } from './lookup-input.ts';
import { isPrefix, resolvePrefix } from './prefix.ts';

export interface LookupCommand extends AskOptions {
  readonly json: boolean;
}

export async function lookup(
  io: Io,
  texts: readonly string[],
  options: LookupCommand,
): Promise<ExitStatus> {
  const [text = ''] = texts;
  if (texts.length === 1 && isPrefix(text) && isTerminal(io)) {
    const resolved = await resolvePrefix(io, text, options);
    return typeof resolved === 'string' ? lookupAll(io, [resolved], options) : resolved;
  }
  // Reject a malformed UUID before anything is asked.
  const operands = texts.map((one) => (one === '-' ? '-' : parseVmUuid(one)));
  return lookupAll(io, operands, options);
}

async function lookupAll(
  io: Io,
  operands: readonly (Uuid | '-')[],
  options: LookupCommand,
): Promise<ExitStatus> {
  const { json, direct } = options;
  const readsInput = operands.includes('-');
  const format = { json, several: readsInput || operands.length > 1 };
  if (direct) {
    return (await import('./lookup-direct.ts')).lookupDirect(io, operands, format);
  }
  return askService(io, options, async (client) => {
    const asker = new Asker(io, client, format);
    for (const operand of operands) if (operand !== '-') asker.ask(operand);
    if (readsInput) await askInput(io, asker);
    return asker.done();
  });
}

/** Prefixes are for people: a script that gets a truncated UUID must fail. */
function isTerminal(io: Io): boolean {
  return io.inputIsTerminal() && io.outputIsTerminal();
}
