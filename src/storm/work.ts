/** The look-ups of a storm, and the form of its figures. */
import type { DomidPolicy } from '../simulator/index.ts';
import { parseUuid, type Uuid } from '../uuid.ts';
import type { Cost } from './contestant.ts';

/** The name of our own contestant. */
export const OURS = 'xen-domid';

export const LOOKUPS_BEFORE_INTRODUCTION = 10;
export const LOOKUPS_AFTER = 20;
export const LOOKUPS_A_BOOT: number = LOOKUPS_BEFORE_INTRODUCTION + LOOKUPS_AFTER;
/** Made after the VM has shut down, and before it is destroyed. */
export const LOOKUPS_A_SHUTDOWN = 1;

/** `xen/include/public/sched.h` */
export const SHUTDOWN_POWEROFF = 0;

export interface StormOptions {
  readonly vms: number;
  readonly domids: DomidPolicy;
  /** Called with the number of boots and shutdowns so far, of 2 * `vms`. */
  readonly progress: (done: number) => void;
}

/** The cost of one part of a storm: all VMs boot, or all shut down. */
export interface Phase extends Cost {
  readonly answers: number;
  /** Answers that named no domain or the wrong one. */
  readonly wrong: number;
  /** Number of VMs with measured look-ups and events. The cost for all VMs is extrapolated from them. */
  readonly vmsMeasured: number;
}

export interface StormFigures {
  readonly name: string;
  readonly boot: Phase;
  readonly shutdown: Phase;
}

/** The UUID of the VM with this number. */
export function uuidOf(vm: number): Uuid {
  return parseUuid(`6d4f1a5e-0b7c-4c4e-9d2a-${vm.toString(16).padStart(12, '0')}`);
}
