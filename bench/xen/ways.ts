/** Computes the cost of a boot by each way: its look-ups and its event, scaled up from the mean where not all were measured. */
import { each, otherBootNs, ourBootNs } from './bars.ts';
import { pointsOf } from './points.ts';
import type { BootStorm, StorePoint, Work } from './results.ts';
import { WAY_NAMES } from './way-names.ts';
import { add, NO_WORK } from './work.ts';

export interface WayCost {
  readonly name: string;
  readonly lookups: Work;
  readonly eventNs: number | undefined;
  /** Look-ups and event of a boot. */
  readonly bootNs: number;
  readonly bootCpuNs: number;
  readonly isOurs: boolean;
  readonly callsALookup: number;
  readonly entriesALookup: number;
}

/** Returns all ways in the order of their numbers. */
export function waysOf(storm: BootStorm, points: readonly StorePoint[]): WayCost[] {
  const others = storm.others.map((way): WayCost => {
    const { name, lookups, events, readEventCpuNs = 0 } = way;
    return {
      name,
      isOurs: name === WAY_NAMES.byTable,
      lookups,
      eventNs: events && each(events, 'cpuNs') + readEventCpuNs,
      bootNs: otherBootNs(storm, way),
      bootCpuNs:
        each(lookups, 'cpuNs') * storm.lookupsAVm +
        (events === undefined ? 0 : each(events, 'cpuNs') + readEventCpuNs),
      callsALookup: each(lookups, 'calls'),
      entriesALookup: each(lookups, 'entries'),
    };
  });
  const at = new Set(pointsOf(storm.vms));
  const ofStorm = points.filter(({ domains }) => at.has(domains));
  const byStore = (['store', 'xl'] as const).map((what): WayCost => {
    const lookups = ofStorm.reduce((sum, point) => add(sum, point[what]), NO_WORK);
    return {
      name: what === 'store' ? WAY_NAMES.xenstoreAlone : WAY_NAMES.likeXl,
      isOurs: false,
      lookups,
      eventNs: undefined,
      bootNs: each(lookups, 'wallNs') * storm.lookupsAVm,
      bootCpuNs: each(lookups, 'cpuNs') * storm.lookupsAVm,
      callsALookup: each(lookups, 'calls'),
      entriesALookup: each(lookups, 'entries'),
    };
  });
  const ours = storm.ours.map((way): WayCost => {
    const { single, list, entries } = way.counts;
    const made = way.lookups.count;
    return {
      name: way.name,
      isOurs: true,
      lookups: way.lookups,
      eventNs: way.eventsCpuNs / storm.vms,
      bootNs: ourBootNs(storm, way),
      bootCpuNs:
        ((way.lookups.cpuNs + (way.lookupsDaemonCpuNs ?? 0)) / made) * storm.lookupsAVm +
        way.eventsCpuNs / storm.vms,
      callsALookup: (single + list + way.lookups.calls) / made,
      entriesALookup: (single + entries + way.lookups.entries) / made,
    };
  });
  return [...others, ...byStore, ...ours].toSorted((one, other) =>
    one.name.localeCompare(other.name),
  );
}
