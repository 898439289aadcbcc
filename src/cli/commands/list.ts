/** `xen-domid list`: all domains, as `xl list -v` prints them. */
import type { Domain } from '../../domain.ts';
import type { ListedDomain } from '../../results.ts';
import { isColourWanted } from '../terminal/colour.ts';
import { connect, type ConnectOptions, orDirect } from '../connect.ts';
import { errorText } from '../terminal/error-text.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { printableJson } from '../terminal/printable.ts';
import { comparison } from './sort.ts';
import { formatTable } from '../terminal/table.ts';

const NAMES_WAIT_MS = 10_000;

export interface ListCommand extends ConnectOptions {
  readonly json: boolean;
  readonly direct: boolean;
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

async function listByService(io: Io, options: ListCommand): Promise<readonly ListedDomain[]> {
  const client = await connect(io, options);
  try {
    return (await client.list({ names: true })).domains;
  } catch (error) {
    throw orDirect(error);
  } finally {
    await client.close();
  }
}

async function listDirectly(io: Io): Promise<readonly ListedDomain[]> {
  const hypervisor = await io.openHypervisor();
  const domains = await hypervisor
    .listDomains((infos) => Array.from(infos, (info) => info.toDomain()))
    .finally(() => hypervisor.close());
  const names = await readNames(io, domains);
  return domains.map((domain) => {
    const name = names.get(domain.domid);
    return name === undefined ? domain : { ...domain, name };
  });
}

/**
 * The name that xenstore has for each domain, all asked for at once.
 * The list is worth printing without: names are a courtesy, and are not waited for without end.
 */
async function readNames(io: Io, domains: readonly Domain[]): Promise<Map<number, string>> {
  const names = new Map<number, string>();
  try {
    const xenstore = await io.openXenstore();
    const silence = new Promise<never>((_, reject) => {
      const error = new Error(`xenstored has not answered within ${NAMES_WAIT_MS / 1000} s`);
      setTimeout(() => reject(error), NAMES_WAIT_MS).unref();
    });
    const all = domains.map(async ({ domid }) => {
      const name = await xenstore.read(`/local/domain/${domid}/name`);
      if (name !== undefined) names.set(domid, name);
    });
    await Promise.race([Promise.all(all), silence]).finally(() => xenstore.close());
  } catch (error) {
    io.err(`xen-domid: names are missing: ${errorText(error as Error)}\n`);
  }
  return names;
}
