/** `xen-domid list`: prints all domains, with the columns of `xl list -v`. */
import type { Domain } from '../../domain.ts';
import type { ListedDomain } from '../../results.ts';
import { askHypervisor, type AskOptions, askService } from '../connect.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { isColourWanted } from '../terminal/colour.ts';
import { errorText } from '../terminal/error-text.ts';
import { printableJson } from '../terminal/printable.ts';
import { formatTable } from '../terminal/table.ts';
import { comparison } from './sort.ts';

const NAMES_TIMEOUT_MS = 10_000;

export interface ListCommand extends AskOptions {
  readonly json: boolean;
  readonly sort?: string;
}

export async function list(io: Io, options: ListCommand): Promise<ExitStatus> {
  const order = comparison(options.sort ?? 'domid');
  const listed = options.direct ? await listDirectly(io) : await listByService(io, options);
  const domains = listed.toSorted(order);
  if (options.json) io.out(`${printableJson({ domains })}\n`);
  else io.out(formatTable(domains, { columns: io.columns(), colour: isColourWanted(io) }));
  return ExitStatus.done;
}

function listByService(io: Io, options: ListCommand): Promise<readonly ListedDomain[]> {
  return askService(io, options, async (client) => (await client.list({ names: true })).domains);
}

async function listDirectly(io: Io): Promise<readonly ListedDomain[]> {
  const domains = await askHypervisor(io, (hypervisor) =>
    hypervisor.listDomains((infos) => Array.from(infos, (info) => info.toDomain())),
  );
  const names = await readNames(io, domains);
  return domains.map((domain) => {
    const name = names.get(domain.domid);
    return name === undefined ? domain : { ...domain, name };
  });
}

/** Reads the name of each domain from xenstore, all at once. Without xenstore, the list is printed without names. */
async function readNames(io: Io, domains: readonly Domain[]): Promise<Map<number, string>> {
  const names = new Map<number, string>();
  try {
    const xenstore = await io.openXenstore();
    const timeout = new Promise<never>((_, reject) => {
      const error = new Error(`xenstored has not answered within ${NAMES_TIMEOUT_MS / 1000} s`);
      setTimeout(() => reject(error), NAMES_TIMEOUT_MS).unref();
    });
    const all = domains.map(async ({ domid }) => {
      const name = await xenstore.read(`/local/domain/${domid}/name`);
      if (name !== undefined) names.set(domid, name);
    });
    await Promise.race([Promise.all(all), timeout]).finally(() => xenstore.close());
  } catch (error) {
    io.err(`xen-domid: names are missing: ${errorText(error as Error)}\n`);
  }
  return names;
}
