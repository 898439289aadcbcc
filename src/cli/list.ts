/** `xen-domid list`: all domains, as `xl list -v` prints them. */
import type { Domain } from '../domain.ts';
import { ExitStatus } from './exit-status.ts';
import type { Io } from './io.ts';
import { printableJson } from './printable.ts';
import { formatTable } from './table.ts';

const NAMES_WAIT_MS = 10_000;

export async function list(io: Io, options: { readonly json: boolean }): Promise<ExitStatus> {
  const hypervisor = await io.openHypervisor();
  const domains = await hypervisor
    .listDomains((infos) => Array.from(infos, (info) => info.toDomain()))
    .finally(() => hypervisor.close());
  const names = await readNames(io, domains);
  if (options.json) {
    const named = domains.map((domain) => {
      const name = names.get(domain.domid);
      return name === undefined ? domain : { ...domain, name };
    });
    io.out(`${printableJson({ domains: named })}\n`);
  } else {
    io.out(formatTable(domains, names));
  }
  return ExitStatus.done;
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
    io.err(`xen-domid: names are missing: ${(error as Error).message}\n`);
  }
  return names;
}
