/** A domain record for tests. */
import type { Domain, Domid } from '../../src/domain.ts';

export function madeUpDomain(
  domid: number,
  fields: Partial<Domain> & Pick<Domain, 'uuid'>,
): Domain {
  return {
    domid: domid as Domid,
    dying: false,
    shutdown: false,
    paused: false,
    blocked: true,
    running: false,
    hvm: true,
    vcpus: 1,
    memoryBytes: 0,
    maxMemoryBytes: 0,
    cpuTimeSeconds: 0,
    ssidref: 0,
    cpupool: 0,
    ...fields,
  };
}
