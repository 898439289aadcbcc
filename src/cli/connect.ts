/** The service, as a command asks it. */
import { existsSync } from 'node:fs';
import type { InventoryClient } from '../client/client.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import type { Io } from './io.ts';

export interface ConnectOptions {
  readonly socket?: string;
  /** The user wants answers for a simulated host, though there may be a real one. */
  readonly simulated: boolean;
}

const PRIVCMD = '/dev/xen/privcmd';

/** A script has to know at once that there is no service; nothing is tried twice. */
export function connect(io: Io, { socket, simulated }: ConnectOptions): Promise<InventoryClient> {
  return io.connect({
    ...(socket !== undefined && { socket }),
    retry: false,
    // Without a Xen here, nobody can take a simulated host for the real one.
    acceptSimulated: simulated || !existsSync(PRIVCMD),
  });
}

/** The same error with what else can be done where the service cannot be reached. */
export function orDirect(error: unknown): unknown {
  if (!(error instanceof XenError) || error.code !== ErrorCode.SERVICE_UNREACHABLE) return error;
  const { errno } = error;
  return new XenError(
    error.code,
    `${error.message}; or ask the hypervisor itself by --direct, as root in dom0`,
    { cause: error.cause, ...(errno !== undefined && { errno }) },
  );
}
