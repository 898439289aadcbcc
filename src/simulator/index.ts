/**
 * A simulated Xen host in memory, to test and to demonstrate programs without a real host.
 * @module xen-domid/simulator
 */
export { type DomidPolicy } from './domid-allocator.ts';
export { type DomainState, type Holding, type HostHistory, type Span } from './history.ts';
export { type HypercallErrno, type HypercallKind } from './hypercall-faults.ts';
export { PROFILES, type Profile, RELEASES, type Release } from './profile.ts';
export {
  type CreateOptions,
  type HandleWrite,
  type HostListener,
  type HostOptions,
  NIL_UUID,
  type SimulatedDomain,
  SimulatedHost,
  type Stage,
} from './simulated-host.ts';
export { SimulatedHypervisor, type SimulatedHypervisorOptions } from './simulated-hypervisor.ts';
export { type HypercallCounters, type ListPacing, type RunningList } from './simulated-xencall.ts';
export {
  SimulatedXenstored,
  type XenstoredCounters,
  type XenstoredOptions,
} from './simulated-xenstored.ts';
export { type SpecialPath } from './store-watches.ts';
export { type XenstoredFlavour } from './xenstored-connection.ts';
export {
  type BootStep,
  type DestroyStep,
  type ToolstackFlavour,
  type Vm,
  bootSteps,
  bootVm,
  destroySteps,
  destroyVm,
  tombstoneOf,
} from './toolstack.ts';
