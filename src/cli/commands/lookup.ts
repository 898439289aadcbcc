/** `xen-domid lookup`: prints the domid of each UUID. */
import type { Uuid } from '../../uuid.ts';
import { type AskOptions, askService } from '../connect.ts';
import type { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { Asker } from './asker.ts';
import { askInput } from './lookup-input.ts';
import { resolveUuids } from './operands.ts';

export interface LookupCommand extends AskOptions {
  readonly json: boolean;
}

export async function lookup(
  io: Io,
  texts: readonly string[],
  options: LookupCommand,
): Promise<ExitStatus> {
  const uuids = await resolveUuids(
    io,
    texts.filter((text) => text !== '-'),
    options,
  );
  if (typeof uuids === 'number') return uuids;
  const resolved = uuids.values();
  const operands = texts.map((text) => (text === '-' ? text : (resolved.next().value as Uuid)));
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
