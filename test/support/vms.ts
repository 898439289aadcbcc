/** What the simulator's tests share: UUIDs by number, and looks as plain values. */
import { type Domain, type Domid } from '../../src/domain.ts';
import { type SimulatedHypervisor } from '../../src/simulator/index.ts';
import { type Uuid, parseUuid } from '../../src/uuid.ts';
import { XenError } from '../../src/xen-error.ts';

export { RELEASES } from '../../src/simulator/profile.ts';

/** The UUID of VM `index`: both of its halves tell it from the others. */
export function uuidOf(index: number): Uuid {
  const digits = index.toString(16).padStart(8, '0');
  return parseUuid(`${digits}-1111-4222-8333-4444${digits}`);
}

/** `before` where the second half of `after` has not been written yet. */
export function torn(before: Uuid, after: Uuid): Uuid {
  return parseUuid(after.slice(0, 19) + before.slice(19));
}

export async function listAll(hypervisor: SimulatedHypervisor): Promise<Domain[]> {
  return await hypervisor.listDomains((list) => Array.from(list, (info) => info.toDomain()));
}

export function domidsOf(domains: readonly { readonly domid: Domid }[]): number[] {
  return domains.map(({ domid }) => domid);
}

/** What `run` throws, of which an errno or a code can be read; nothing where it throws nothing. */
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
