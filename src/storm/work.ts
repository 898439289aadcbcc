/** What is asked in a storm, and how it is told what that cost. */
import type { DomidPolicy } from '../simulator/index.ts';
import { parseUuid, type Uuid } from '../uuid.ts';
import type { Cost } from './contestant.ts';

export const LOOKUPS_BEFORE_INTRODUCTION = 10;
export const LOOKUPS_AFTER = 20;
export const LOOKUPS_A_BOOT: number = LOOKUPS_BEFORE_INTRODUCTION + LOOKUPS_AFTER;
/** Made while the VM has shut down, and is not yet destroyed. */
export const LOOKUPS_A_SHUTDOWN = 1;

/** `xen/include/public/sched.h` */
export const SHUTDOWN_POWEROFF = 0;

export interface StormOptions {
  readonly vms: number;
  readonly domids: DomidPolicy;
  /** Called with how many VMs have come or gone, of twice as many as there are. */
  readonly progress: (done: number) => void;
}

/** What one part of a storm cost: all VMs boot, or all go. */
export interface Phase extends Cost {
  /** Answers given, and of these how many named no or another domain. */
  readonly answers: number;
  readonly wrong: number;
  /** Of how many VMs look-ups were made and events heeded; those of the others are taken to cost as much as those beside them. */
  readonly vmsMeasured: number;
}

export interface StormFigures {
  readonly name: string;
  readonly boot: Phase;
  readonly shutdown: Phase;
}

export function uuidOf(vm: number): Uuid {
  return parseUuid(`6d4f1a5e-0b7c-4c4e-9d2a-${vm.toString(16).padStart(12, '0')}`);
}
