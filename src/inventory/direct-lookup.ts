/** Look-ups that ask only the hypervisor and keep no state: one list answers any number of UUIDs. */
import type { Domain } from '../domain.ts';
import type { Dominfo } from '../hypervisor/dominfo.ts';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';
import type { Ambiguous, Found, NotFound } from '../results.ts';
import { type Uuid, type UuidWords, uuidWords } from '../uuid.ts';
import { hasZeroHalf } from './handle.ts';

/** The result of a look-up without an inventory. Never `unavailable`: if the hypervisor does not answer, the look-up rejects. */
export type DirectLookupResult = Omit<Found, 'source'> | NotFound | Ambiguous;

/** Maximum number of lists. If the holders of a UUID change after each of them, the result is `found`: the first holder in the last list. */
const LISTS_MAX = 4;

/**
 * Finds the domain with each UUID.
 * @returns a result for each UUID, in order.
 * @throws XenError if the hypervisor does not answer.
 */
export async function lookUpDirectly(
  hypervisor: Hypervisor,
  uuids: readonly Uuid[],
): Promise<DirectLookupResult[]> {
  const handles = uuids.map(uuidWords);
  for (let lists = 1; ; lists++) {
    // oxlint-disable-next-line no-await-in-loop -- another list only if the holders changed during this one
    const held = await listHolders(hypervisor, handles);
    const results = held.map((holders, index) =>
      judge(hypervisor, holders, handles[index] as UuidWords),
    );
    if (!results.includes(undefined) || lists === LISTS_MAX) {
      return results.map((result, index) => {
        const [first] = held[index] ?? [];
        if (result !== undefined || first === undefined) return result ?? { status: 'notFound' };
        return { status: 'found', domain: first };
      });
    }
  }
}

/** Lists the holders of each handle. A domain that is listed with a handle that may be half written is judged by a single look instead. */
async function listHolders(
  hypervisor: Hypervisor,
  handles: readonly UuidWords[],
): Promise<Domain[][]> {
  const unfinished: number[] = [];
  const held = await hypervisor.listDomains((list) => {
    const holders = handles.map((): Domain[] => []);
    for (const info of list) {
      if (hasZeroHalf(info)) {
        unfinished.push(info.domid);
        continue;
      }
      handles.forEach((words, index) => {
        if (holds(info, words)) holders[index]?.push(info.toDomain());
      });
    }
    return holders;
  });
  for (const domid of unfinished) {
    const info = hypervisor.getDomainInfo(domid);
    if (info === undefined) continue;
    handles.forEach((words, index) => {
      if (holds(info, words)) held[index]?.push(info.toDomain());
    });
  }
  return held;
}

/** Turns the listed holders into a result; `undefined` if they changed since the list, so that another list is needed. */
function judge(
  hypervisor: Hypervisor,
  holders: readonly Domain[],
  words: UuidWords,
): DirectLookupResult | undefined {
  const [first] = holders;
  if (first === undefined) return { status: 'notFound' };
  if (holders.length === 1) return { status: 'found', domain: first };
  // A list is not atomic. Several domains count as holders at the same time if each one, read singly, still holds the
  // UUID, and the first one still does after the last one was read.
  const domains = [...holders, first].flatMap(({ domid }) => {
    const info = hypervisor.getDomainInfo(domid);
    return info !== undefined && holds(info, words) ? [info.toDomain()] : [];
  });
  return domains.length === holders.length + 1
    ? { status: 'ambiguous', domains: domains.slice(0, -1) }
    : undefined;
}

function holds(info: Dominfo, words: UuidWords): boolean {
  return !info.dying && info.hasHandle(words);
}
