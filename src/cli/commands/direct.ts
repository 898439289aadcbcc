/** Answers from the hypervisor itself, without the daemon: one list a question. */
import type { Domain } from '../../domain.ts';
import type { Dominfo } from '../../hypervisor/dominfo.ts';
import type { Hypervisor } from '../../hypervisor/hypervisor.ts';
import { type Uuid, type UuidWords, uuidWords } from '../../uuid.ts';

export type DirectResult =
  | { readonly status: 'found'; readonly domain: Domain }
  | { readonly status: 'notFound' }
  | { readonly status: 'ambiguous'; readonly domains: readonly Domain[] };

/** How often holders may change between the list and the look at each before one that the list showed is given. */
const LISTS = 4;

/**
 * Up to 4.20 Xen lists a new domain before it copies the handle (`xen/common/domain.c`), in two halves:
 * such a handle may be the beginning of the one that is looked for.
 */
function mayBeUnfinished(info: Dominfo): boolean {
  return (
    (info.handleWord(0) === 0 && info.handleWord(1) === 0) ||
    (info.handleWord(2) === 0 && info.handleWord(3) === 0)
  );
}

/** Which domain holds each UUID. */
export async function lookupDirect(
  hypervisor: Hypervisor,
  uuids: readonly Uuid[],
): Promise<DirectResult[]> {
  const wanted = uuids.map(uuidWords);
  for (let lists = 1; ; lists++) {
    const held = await listHolders(hypervisor, wanted);
    const results = held.map((holders, index) =>
      judge(hypervisor, holders, wanted[index] as UuidWords),
    );
    if (!results.includes(undefined) || lists === LISTS) {
      return results.map((result, index) => {
        const [shown] = held[index] ?? [];
        if (result !== undefined || shown === undefined) return result ?? { status: 'notFound' };
        return { status: 'found', domain: shown };
      });
    }
  }
}

/** The holders of each of `wanted`: as one list shows them, and those whose handle it showed unfinished. */
async function listHolders(
  hypervisor: Hypervisor,
  wanted: readonly UuidWords[],
): Promise<Domain[][]> {
  const unfinished: number[] = [];
  const held = await hypervisor.listDomains((list) => {
    const holders = wanted.map((): Domain[] => []);
    for (const info of list) {
      if (mayBeUnfinished(info)) unfinished.push(info.domid);
      if (info.dying) continue;
      wanted.forEach((words, index) => {
        if (info.hasHandle(words)) holders[index]?.push(info.toDomain());
      });
    }
    return holders;
  });
  for (const domid of unfinished) {
    wanted.forEach((words, index) => {
      const info = hypervisor.getDomainInfo(domid);
      if (info?.hasHandle(words) === true && !info.dying) held[index]?.push(info.toDomain());
    });
  }
  return held;
}

/** What the holders amount to; undefined where they changed meanwhile, so that it takes another list to tell. */
function judge(
  hypervisor: Hypervisor,
  holders: readonly Domain[],
  words: UuidWords,
): DirectResult | undefined {
  const [first] = holders;
  if (first === undefined) return { status: 'notFound' };
  if (holders.length === 1) return { status: 'found', domain: first };
  // Several count only if they hold it side by side: each is read singly, and the first once more at the end.
  const domains = [...holders, first].flatMap(({ domid }) => {
    const info = hypervisor.getDomainInfo(domid);
    return info?.hasHandle(words) === true && !info.dying ? [info.toDomain()] : [];
  });
  return domains.length === holders.length + 1
    ? { status: 'ambiguous', domains: domains.slice(0, -1) }
    : undefined;
}
