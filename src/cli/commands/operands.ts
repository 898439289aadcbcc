/** The UUIDs of a command line. At a terminal, the beginning of a UUID is enough. */
import type { Domain } from '../../domain.ts';
import type { Uuid } from '../../uuid.ts';
import { namesNoVm } from '../../vm-uuid.ts';
import { UsageError } from '../arguments.ts';
import { type AskOptions, askService, listOfHypervisor } from '../connect.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { parseTypedUuid, prefixOf, whereToFind } from '../typed-uuid.ts';

const SHORT_PREFIX = /^[\da-f]{1,3}$/i;

interface Prefix {
  readonly prefix: string;
}

/**
 * Returns the UUIDs that `texts` stand for. One that was found by its beginning is a hint: the caller must look it up.
 * @returns the exit status instead, where the beginning is that of no UUID, or of several; both are reported.
 * @throws XenError `ERR_INVALID_UUID` for a malformed UUID, before anything is asked.
 */
export async function resolveUuids(
  io: Io,
  texts: readonly string[],
  options: AskOptions,
): Promise<readonly Uuid[] | ExitStatus> {
  const typed = texts.map((text) => parseTyped(io, text));
  if (typed.every((one) => typeof one === 'string')) return typed;
  const domains = (await listDomains(io, options)).filter(
    ({ uuid, dying }) => !dying && !namesNoVm(uuid),
  );
  const resolved = typed.map((one) =>
    typeof one === 'string' ? one : withPrefix(io, one.prefix, domains),
  );
  const uuids = resolved.filter((one) => typeof one === 'string');
  if (uuids.length === resolved.length) return uuids;
  return Math.max(...resolved.filter((one) => typeof one === 'number')) as ExitStatus;
}

/** Prefixes are for people: a script that gets a truncated UUID must fail. */
function parseTyped(io: Io, text: string): Uuid | Prefix {
  if (io.inputIsTerminal() && io.outputIsTerminal()) {
    const prefix = prefixOf(text);
    if (prefix !== undefined) return { prefix };
    if (SHORT_PREFIX.test(text)) {
      throw new UsageError(
        `${text} is too short for the beginning of a UUID: type 4 digits or more, for example 6d4f; ${whereToFind(text)}`,
      );
    }
  }
  return parseTypedUuid(text);
}

function withPrefix(io: Io, prefix: string, domains: readonly Domain[]): Uuid | ExitStatus {
  const holders = domains.filter(({ uuid }) => uuid.startsWith(prefix));
  const uuids = new Set(holders.map(({ uuid }) => uuid));
  const [uuid] = uuids;
  if (uuid === undefined) {
    io.err(`xen-domid: no domain has a UUID that begins with ${prefix}; ${whereToFind(prefix)}\n`);
    return ExitStatus.notFound;
  }
  if (uuids.size === 1) return uuid;
  io.err(`xen-domid: ${uuids.size} UUIDs begin with ${prefix}: type more digits of one of them\n`);
  for (const holder of holders) io.err(`${holder.uuid} ${holder.domid}\n`);
  return ExitStatus.ambiguous;
}

async function listDomains(io: Io, options: AskOptions): Promise<readonly Domain[]> {
  if (!options.direct)
    return askService(io, options, async (client) => (await client.list()).domains);
  return listOfHypervisor(io);
}
