/** What `npm run bench storm` leaves in bench/results/storm.json, and `npm run bench charts` reads. */
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
  /** VMs that boot side by side. */
  readonly atOnce: number;
  /** How long look-ups took, where a client of the service measured that. */
  readonly tookUs?: Quantiles;
}

export interface StormReport {
  readonly machine: string;
  readonly lookupsABoot: number;
  readonly storms: readonly Storm[];
  readonly steady: readonly SteadyFigures[];
  readonly moves: readonly MoveFigures[];
}
