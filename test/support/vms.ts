/** For tests on simulated hosts: UUIDs by number, and looks as plain values. */
import { type Domain, type Domid } from '../../src/domain.ts';
import { type SimulatedHypervisor } from '../../src/simulator/index.ts';
import { type Uuid, parseUuid } from '../../src/uuid.ts';
import { XenError } from '../../src/xen-error.ts';

export { RELEASES } from '../../src/simulator/profile.ts';

/** Returns the UUID of VM `index`. Each of its 8-byte halves is unique. */
export function uuidOf(index: number): Uuid {
  const digits = index.toString(16).padStart(8, '0');
  return parseUuid(`${digits}-1111-4222-8333-4444${digits}`);
}

/** Returns the handle between `before` and `after`, when only the first half has been written. */
export function torn(before: Uuid, after: Uuid): Uuid {
  return parseUuid(after.slice(0, 19) + before.slice(19));
}

export async function listAll(hypervisor: SimulatedHypervisor): Promise<Domain[]> {
  return await hypervisor.listDomains((list) => Array.from(list, (info) => info.toDomain()));
}

export function domidsOf(domains: readonly { readonly domid: Domid }[]): number[] {
  return domains.map(({ domid }) => domid);
}

/** Returns code, errno and syscall of the error that `run` throws; an empty object if it throws none. */
export function thrownBy(run: () => unknown): { code?: string; errno?: string; syscall?: string } {
  try {
    run();
  } catch (error) {
    return error instanceof XenError
      ? {
          code: error.code,
          ...(error.errno !== undefined && { errno: error.errno }),
          ...(error.syscall !== undefined && { syscall: error.syscall }),
        }
      : { code: String(error) };
  }
  return {};
}

export function errnoOf(run: () => unknown): string | undefined {
  return thrownBy(run).errno;
}
