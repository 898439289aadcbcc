/** How a command reaches the service, or the hypervisor itself. */
import { existsSync } from 'node:fs';
import type { InventoryClient } from '../client/client.ts';
import type { Domain } from '../domain.ts';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import type { Io } from './io.ts';

export interface ConnectOptions {
  readonly socket?: string;
  /** Accept the answers of a service that simulates a host, although this machine may run Xen. */
  readonly simulated: boolean;
}

/** Options of the commands that can ask the hypervisor without the service. */
export interface AskOptions extends ConnectOptions {
  readonly direct: boolean;
}

/** Exists only on a machine that runs Xen. */
const PRIVCMD = '/dev/xen/privcmd';

/** Makes a client, by default one that does not retry: a script must learn at once that there is no service. */
export function connect(
  io: Io,
  { socket, simulated }: ConnectOptions,
  retry = false,
): Promise<InventoryClient> {
  return io.connect({
    ...(socket !== undefined && { socket }),
    retry,
    // On a machine without Xen, a simulated host cannot be mistaken for the real one.
    acceptSimulated: simulated || !existsSync(PRIVCMD),
  });
}

/** Calls `ask` with a client of the service. Where no service answers, the error also names `--direct`. */
export async function askService<T>(
  io: Io,
  options: AskOptions,
  ask: (client: InventoryClient) => Promise<T>,
): Promise<T> {
  const client = await connect(io, options);
  try {
    return await ask(client);
  } catch (error) {
    throw orDirect(error);
  } finally {
    await client.close();
  }
}

/** Calls `ask` with the hypervisor of this host. */
export async function askHypervisor<T>(
  io: Io,
  ask: (hypervisor: Hypervisor) => Promise<T>,
): Promise<T> {
  const hypervisor = await io.openHypervisor();
  try {
    return await ask(hypervisor);
  } finally {
    await hypervisor.close();
  }
}

function orDirect(error: unknown): unknown {
  if (!(error instanceof XenError) || error.code !== ErrorCode.SERVICE_UNREACHABLE) return error;
  const { errno } = error;
  return new XenError(
    error.code,
    `${error.message}; or ask the hypervisor itself by --direct, as root in dom0`,
    { cause: error.cause, ...(errno !== undefined && { errno }) },
  );
}

/** Lists all domains by the hypervisor itself. */
export function listOfHypervisor(io: Io): Promise<readonly Domain[]> {
  return askHypervisor(io, (hypervisor) =>
    hypervisor.listDomains((infos) => Array.from(infos, (info) => info.toDomain())),
  );
}
