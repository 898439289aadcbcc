/** The steps by which libxl, or xapi's xenopsd, boots and destroys a VM on a host and in its xenstore. */
import type { Domid } from '../domain.ts';
import { type Uuid, parseUuid } from '../uuid.ts';
import type { CreateOptions, SimulatedHost } from './simulated-host.ts';
import type { SimulatedXenstored } from './simulated-xenstored.ts';

/** The toolstack whose order of steps and xenstore nodes are imitated. */
export type ToolstackFlavour = 'libxl' | 'xapi';

/** A VM to boot. */
export interface Vm extends CreateOptions {
  readonly uuid: Uuid;
  /** Default: `vm-<domid>`. */
  readonly name?: string;
  readonly flavour?: ToolstackFlavour;
}

/** The last completed step of a boot. */
export type BootStep = 'created' | 'named' | 'built' | 'introduced' | 'unpaused';
/** The last completed step of destroying a VM. */
export type DestroyStep = 'tombstoned' | 'nodes removed' | 'teardown' | 'dying' | 'destroyed';

/** The handle that xenopsd gives a domain before it destroys it. */
export function tombstoneOf(domid: number): Uuid {
  return parseUuid(`deadbeef-dead-beef-dead-beef0000${domid.toString(16).padStart(4, '0')}`);
}

/** Boots a VM and yields after each step, so that a caller can act between the steps. Without `xenstored`, writes no nodes. */
export function* bootSteps(
  host: SimulatedHost,
  xenstored: SimulatedXenstored | undefined,
  vm: Vm,
): Generator<BootStep, Domid> {
  const domid = host.createDomain(vm);
  yield 'created';
  if (xenstored !== undefined) writeNames(xenstored, vm, domid);
  yield 'named';
  host.build(domid);
  yield 'built';
  const local = `/local/domain/${domid}`;
  xenstored?.write(`${local}/domid`, `${domid}`);
  xenstored?.write(`${local}/store/port`, '1');
  host.introduce(domid);
  yield 'introduced';
  host.unpause(domid);
  yield 'unpaused';
  return domid;
}

/** Boots a VM without a pause between the steps. */
export function bootVm(
  host: SimulatedHost,
  xenstored: SimulatedXenstored | undefined,
  vm: Vm,
): Domid {
  const steps = bootSteps(host, xenstored, vm);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** Destroys a VM and yields after each step, like {@link bootSteps}. */
export function* destroySteps(
  host: SimulatedHost,
  xenstored: SimulatedXenstored | undefined,
  domid: number,
  flavour: ToolstackFlavour = 'libxl',
): Generator<DestroyStep, void> {
  const uuid = host.get(domid)?.uuid;
  if (uuid === undefined) return;
  if (flavour === 'xapi') {
    host.setHandle(domid, tombstoneOf(domid));
    yield 'tombstoned';
  } else {
    host.pause(domid);
    if (xenstored !== undefined) removeLibxlNodes(xenstored, domid);
    yield 'nodes removed';
  }
  host.beginTeardown(domid);
  yield 'teardown';
  host.die(domid);
  yield 'dying';
  host.reap(domid);
  yield 'destroyed';
  if (flavour !== 'xapi') return;
  if (xenstored !== undefined) removeXapiNodes(xenstored, uuid, domid);
  yield 'nodes removed';
}

/** Destroys a VM without a pause between the steps. A domain with a mapped page or grant stays, as a zombie. */
export function destroyVm(
  host: SimulatedHost,
  xenstored: SimulatedXenstored | undefined,
  domid: number,
  flavour: ToolstackFlavour = 'libxl',
): void {
  for (const _ of destroySteps(host, xenstored, domid, flavour));
}

function writeNames(xenstored: SimulatedXenstored, vm: Vm, domid: Domid): void {
  const name = vm.name ?? `vm-${domid}`;
  const local = `/local/domain/${domid}`;
  const byUuid = `/vm/${vm.uuid}`;
  if (vm.flavour === 'xapi') {
    xenstored.mkdir(`/xenops/domain/${domid}`);
    xenstored.write(`${byUuid}/domains/${domid}`, local);
    xenstored.write(`${byUuid}/domains/${domid}/create-time`, '0');
  } else {
    xenstored.remove(byUuid);
    xenstored.mkdir(`/libxl/${domid}`);
  }
  xenstored.remove(local);
  xenstored.mkdir(local);
  xenstored.write(`${local}/vm`, byUuid);
  xenstored.write(`${local}/name`, name);
  xenstored.write(`${byUuid}/uuid`, vm.uuid);
  xenstored.write(`${byUuid}/name`, name);
}

function removeLibxlNodes(xenstored: SimulatedXenstored, domid: number): void {
  const local = `/local/domain/${domid}`;
  const byUuid = xenstored.read(`${local}/vm`);
  if (byUuid !== undefined) xenstored.remove(byUuid);
  xenstored.remove(local);
  xenstored.remove(`/libxl/${domid}`);
}

function removeXapiNodes(xenstored: SimulatedXenstored, uuid: Uuid, domid: number): void {
  const domains = `/vm/${uuid}/domains`;
  xenstored.remove(`${domains}/${domid}`);
  if (xenstored.directory(domains)?.length === 0) xenstored.remove(`/vm/${uuid}`);
  xenstored.remove(`/local/domain/${domid}`);
  xenstored.remove(`/xenops/domain/${domid}`);
}
