/** The names that xenstore has for domains. Guests can write them: they are text to show, and nothing else. */
import type { Domain } from '../domain.ts';
import type { XenstoreReader } from '../xenstore/reader.ts';

/** Requests on their way at once: enough to fill the pipe, few enough for others to come between. */
const AT_ONCE = 256;
/** How long names are waited for. A list without them is worth more than none. */
const LONGEST_MS = 2000;

/** By index of `domains`; undefined where xenstore has no name, or cannot be asked. */
export async function readNames(
  xenstore: XenstoreReader | undefined,
  domains: readonly Domain[],
): Promise<(string | undefined)[]> {
  const names: (string | undefined)[] = Array.from({ length: domains.length });
  if (xenstore === undefined) return names;
  let next = 0;
  let late = false;
  const readOn = async (): Promise<void> => {
    // oxlint-disable-next-line no-unmodified-loop-condition -- it is, when time is up
    while (next < domains.length && !late) {
      const index = next++;
      // oxlint-disable-next-line no-await-in-loop -- many of these loops run side by side
      const name = await xenstore.read(`/local/domain/${domains[index]?.domid}/name`);
      if (!late) names[index] = name;
    }
  };
  const all = Promise.all(Array.from({ length: AT_ONCE }, readOn)).catch(() => undefined);
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise((resolve) => (timer = setTimeout(resolve, LONGEST_MS)));
  await Promise.race([all, timeout]);
  clearTimeout(timer);
  late = true;
  return names;
}
