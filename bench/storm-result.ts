/** The figures in bench/results/storm.json, which `npm run bench charts` draws. */
import { OURS, type StormFigures } from '../src/storm/work.ts';
import type { DomidPolicy } from '../src/simulator/index.ts';
import type { Quantiles } from './quantiles.ts';
import type { MoveFigures } from './storm-moves.ts';
import type { SteadyFigures } from './storm-steady.ts';

export const STORM_RESULT = 'bench/results/storm.json';

export const OURS_OVER_SOCKET: string = `${OURS}, socket`;

export interface Storm extends StormFigures {
  readonly vms: number;
  readonly domids: DomidPolicy;
  /** VMs that boot at the same time. */
  readonly atOnce: number;
  /** Durations of look-ups, if they were made by a client of the service. */
  readonly tookUs?: Quantiles;
}

export interface StormReport {
  readonly machine: string;
  readonly lookupsABoot: number;
  readonly storms: readonly Storm[];
  readonly steady: readonly SteadyFigures[];
  readonly moves: readonly MoveFigures[];
}
