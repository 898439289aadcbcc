/** `xen-domid lookup --direct`: the hypervisor itself is asked, once for all UUIDs. */
import type { Uuid } from '../../uuid.ts';
import { type DirectResult, lookupDirect } from './direct.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';

const STATUS = {
  found: ExitStatus.done,
  notFound: ExitStatus.notFound,
  ambiguous: ExitStatus.ambiguous,
} as const;

/** @param operands `-` stands for what standard input has. */
export async function lookupDirectly(
  io: Io,
  operands: readonly (Uuid | '-')[],
  json: boolean,
): Promise<ExitStatus> {
  const uuids: Uuid[] = operands.flatMap((operand) => (operand === '-' ? [] : [operand]));
  const several = operands.length > 1 || uuids.length === 0;
  if (uuids.length < operands.length) {
    const { readUuids } = await import('./lookup-input.ts');
    for await (const { uuid, problem } of readUuids(io.input())) {
      if (problem !== undefined) throw problem;
      uuids.push(uuid);
    }
  }
  const hypervisor = await io.openHypervisor();
  try {
    const results = await lookupDirect(hypervisor, uuids);
    results.forEach((result, index) => {
      const uuid = uuids[index] as Uuid;
      if (json) io.out(`${JSON.stringify({ uuid, ...result })}\n`);
      else report(io, uuid, result, several);
    });
    return results.reduce<ExitStatus>(
      (worst, { status }) => (STATUS[status] > worst ? STATUS[status] : worst),
      ExitStatus.done,
    );
  } finally {
    await hypervisor.close();
  }
}

function report(io: Io, uuid: Uuid, result: DirectResult, several: boolean): void {
  switch (result.status) {
    case 'found':
      io.out(several ? `${uuid} ${result.domain.domid}\n` : `${result.domain.domid}\n`);
      break;
    case 'notFound':
      io.err(`xen-domid: no domain has the UUID ${uuid}\n`);
      break;
    case 'ambiguous': {
      const domids = result.domains.map(({ domid }) => domid).join(', ');
      io.err(`xen-domid: more than one domain has the UUID ${uuid}: domids ${domids}\n`);
    }
  }
}
