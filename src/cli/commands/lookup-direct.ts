/** `xen-domid lookup --direct`: asks the hypervisor itself, through an inventory that lives for this one call. */
import type { Hypervisor } from '../../hypervisor/hypervisor.ts';
import { Inventory } from '../../inventory/inventory.ts';
import type { Uuid } from '../../uuid.ts';
import { askHypervisor } from '../connect.ts';
import type { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { type AnswerFormat, Answers, type DirectResult } from './answers.ts';
import { readUuids } from './lookup-input.ts';

/** @param operands `-` stands for the UUIDs on standard input, which is read to its end first. */
export async function lookupDirect(
  io: Io,
  operands: readonly (Uuid | '-')[],
  format: AnswerFormat,
): Promise<ExitStatus> {
  const uuids: Uuid[] = operands.flatMap((operand) => (operand === '-' ? [] : [operand]));
  if (uuids.length < operands.length) {
    for await (const { uuid, problem } of readUuids(io.input())) {
      if (problem !== undefined) throw problem;
      uuids.push(uuid);
    }
  }
  const results = await askHypervisor(io, (hypervisor) => lookUpBy(hypervisor, uuids));
  const answers = new Answers(io, format);
  results.forEach((result, index) => answers.print(uuids[index] as Uuid, result));
  return answers.status;
}

/** Looks up all UUIDs by at most two lists: the first one of the inventory, and one more if it does not show some UUID. */
async function lookUpBy(hypervisor: Hypervisor, uuids: readonly Uuid[]): Promise<DirectResult[]> {
  const inventory = await Inventory.open({
    hypervisor,
    xenstore: false,
    listIntervalMs: Infinity,
  });
  try {
    const results = await inventory.lookupMany(uuids, { timeoutMs: Infinity });
    return results.map((result) =>
      result.status === 'found' ? { status: 'found', domain: result.domain } : result,
    );
  } finally {
    await inventory.close();
  }
}
