/** `xen-domid list`: prints all domains, with the columns of `xl list -v`. */
import { type Domain, DOMID_FIRST_RESERVED } from '../../domain.ts';
import type { ListedDomain, ListResult } from '../../results.ts';
import type { Uuid } from '../../uuid.ts';
import { parseCount, UsageError } from '../arguments.ts';
import { type AskOptions, askService, listOfHypervisor } from '../connect.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { isColourWanted } from '../terminal/colour.ts';
import { errorText } from '../terminal/error-text.ts';
import { printableJson } from '../../printable.ts';
import { formatTable } from '../terminal/table.ts';
import { resolveUuids } from './operands.ts';
import { comparison } from './sort.ts';

const NAMES_TIMEOUT_MS = 10_000;

export interface ListCommand extends AskOptions {
  readonly domid?: readonly string[];
  readonly json: boolean;
  readonly sort?: string;
  readonly watch: boolean;
}

/** With {@link ListCommand.direct} there is no token. */
type Listed = Pick<ListResult, 'domains'> & Partial<ListResult>;

/** The domains to list: all if it is empty. */
interface Wanted {
  readonly uuids: readonly Uuid[];
  readonly domids: readonly number[];
}

/** @param texts the UUIDs to list. */
export async function list(
  io: Io,
  texts: readonly string[],
  options: ListCommand,
): Promise<ExitStatus> {
  const order = comparison(options.sort ?? 'domid');
  if (options.watch) checkWatch(io, options);
  const domids = (options.domid ?? []).map(parseDomid);
  const uuids = await resolveUuids(io, texts, options);
  if (typeof uuids === 'number') return uuids;
  const wanted = { uuids, domids };
  if (options.watch) {
    const { watchList } = await import('./list-watch.ts');
    return watchList(io, options, (domains) => only(wanted, domains).toSorted(order));
  }
  const { domains: all, token } = options.direct
    ? await listDirectly(io)
    : await askService(io, options, (client) => client.list({ names: true }));
  const domains = only(wanted, all).toSorted(order);
  if (options.json)
    io.out(`${printableJson({ domains, ...(token !== undefined && { token }) })}\n`);
  else io.out(formatTable(domains, { columns: io.columns(), colour: isColourWanted(io) }));
  return statusOf(io, wanted, domains);
}

function checkWatch(io: Io, { direct, json }: ListCommand): void {
  if (direct) throw new UsageError('--watch needs the service, and --direct does without it');
  if (json) throw new UsageError('--watch redraws a terminal; for JSON: xen-domid watch --json');
  if (io.outputIsTerminal()) return;
  throw new UsageError('--watch redraws a terminal, and this is none; use: xen-domid watch');
}

function parseDomid(text: string): number {
  return parseCount('--domid', text, 0, DOMID_FIRST_RESERVED - 1);
}

function only(
  { uuids, domids }: Wanted,
  domains: readonly ListedDomain[],
): readonly ListedDomain[] {
  if (uuids.length === 0 && domids.length === 0) return domains;
  return domains.filter(({ uuid, domid }) => uuids.includes(uuid) || domids.includes(domid));
}

/** Reports each UUID and domid that no domain has. */
function statusOf(io: Io, { uuids, domids }: Wanted, domains: readonly Domain[]): ExitStatus {
  const missing = [
    ...uuids
      .filter((uuid) => !domains.some((domain) => domain.uuid === uuid))
      .map((uuid) => `the UUID ${uuid}`),
    ...domids
      .filter((domid) => !domains.some((domain) => domain.domid === domid))
      .map((domid) => `domid ${domid}`),
  ];
  for (const what of missing) io.err(`xen-domid: no domain has ${what}\n`);
  return missing.length === 0 ? ExitStatus.done : ExitStatus.notFound;
}

async function listDirectly(io: Io): Promise<Listed> {
  const domains = await listOfHypervisor(io);
  const names = await readNames(io, domains);
  return {
    domains: domains.map((domain) => {
      const name = names.get(domain.domid);
      return name === undefined ? domain : { ...domain, name };
    }),
  };
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
