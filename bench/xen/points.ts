/** With how many domains the ways of xenstore are measured. */

/** Where a storm of so many VMs is a quarter, half, and three quarters over: what costs as many requests as there are domains costs their mean in it. */
export function pointsOf(vms: number): number[] {
  return [1, 2, 3].map((part) => Math.round((part * vms) / 4));
}
