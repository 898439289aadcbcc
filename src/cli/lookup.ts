/** `xen-domid lookup`: the domid of each UUID. */
import { type Uuid, parseUuid } from '../uuid.ts';
import { type DirectResult, lookupDirect } from './direct.ts';
import { ExitStatus } from './exit-status.ts';
import type { Io } from './io.ts';

const STATUS = {
  found: ExitStatus.done,
  notFound: ExitStatus.notFound,
  ambiguous: ExitStatus.ambiguous,
} as const;

export async function lookup(
  io: Io,
  texts: readonly string[],
  options: { readonly json: boolean },
): Promise<ExitStatus> {
  const uuids = texts.map(parseUuid);
  const hypervisor = await io.openHypervisor();
  try {
    const results = await lookupDirect(hypervisor, uuids);
    results.forEach((result, index) => {
      const uuid = uuids[index] as Uuid;
      if (options.json) io.out(`${JSON.stringify({ uuid, ...result })}\n`);
      else report(io, uuid, result, uuids.length > 1);
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
