/** How long to wait before the next try to reach the service. */

const FIRST_MS = 20;
const MOST_MS = 2000;

/** Doubling, half of it by chance: all who lost the same daemon shall not come back at the same moment. */
export function backoffMs(tries: number): number {
  const most = Math.min(FIRST_MS * 2 ** (tries - 1), MOST_MS);
  return most * (0.5 + Math.random() / 2);
}
