/** Random acts on a simulated host, for property tests: a few domids and a few UUIDs, so that they collide. */
import * as fc from 'fast-check';
import type { HandleWrite, SimulatedHost } from '../../src/simulator/index.ts';
import { uuidOf } from '../support/vms.ts';

const KINDS = [
  'create',
  'createAt',
  'unpause',
  'pause',
  'setHandle',
  'shutdown',
  'resume',
  'hold',
  'release',
  'beginTeardown',
  'die',
  'reap',
  'destroy',
] as const;

export interface HostAct {
  readonly kind: (typeof KINDS)[number];
  readonly domid: number;
  readonly vm: number;
}

export const hostActs: fc.Arbitrary<HostAct> = fc.record({
  kind: fc.constantFrom(...KINDS),
  domid: fc.integer({ min: 1, max: 7 }),
  vm: fc.integer({ min: 0, max: 4 }),
});

/** Does it, where the host allows it in the state it is in; `afterStep` runs after each step that shows. */
export function performAct(
  host: SimulatedHost,
  { kind, domid, vm }: HostAct,
  afterStep: () => void = () => undefined,
): void {
  const domain = host.get(domid);
  if (kind === 'create' || kind === 'createAt') {
    if (kind === 'createAt' && domain !== undefined) return;
    const write = host.beginCreate({ uuid: uuidOf(vm), ...(kind === 'createAt' && { domid }) });
    afterStep();
    stepThrough(write, afterStep);
    return;
  }
  if (domain === undefined) return;
  const live = domain.stage === 'live';
  switch (kind) {
    case 'setHandle': {
      const write = host.beginSetHandle(domid, uuidOf(vm));
      afterStep();
      stepThrough(write, afterStep);
      return;
    }
    case 'release':
      if (domain.holds > 0) host.release(domid);
      break;
    case 'shutdown':
      if (live) host.shutdown(domid, vm);
      break;
    case 'resume':
      if (live) host.resume(domid);
      break;
    case 'unpause':
      if (!live) return;
      host.build(domid);
      afterStep();
      host.unpause(domid);
      break;
    case 'die':
    case 'reap':
    case 'destroy':
      host.beginTeardown(domid);
      afterStep();
      host.die(domid);
      afterStep();
      if (kind !== 'die') host.reap(domid);
      break;
    default:
      host[kind](domid);
  }
  afterStep();
}

function stepThrough(write: HandleWrite, afterStep: () => void): void {
  while (!write.done) {
    write.step();
    afterStep();
  }
}
