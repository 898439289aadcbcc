/** The two buckets of a pool: the keys of VMs, which expire, and those of hosts, which do not. */
import { ErrorCode, XenError } from '../xen-error.ts';
import type { PoolNames } from './names.ts';
import type { KV, Kvm, NatsConnection, NatsLibrary } from './nats.ts';

/** A key of a VM expires after this time, ms, unless it is written again. Deleted keys leave a marker that long. */
export const VM_KEY_TTL_MS: number = 48 * 3_600_000;

export interface Buckets {
  readonly vms: KV;
  readonly hosts: KV;
}

/**
 * Opens both buckets for reading and writing, without a request to the servers.
 */
export async function bindBuckets(
  { kv }: NatsLibrary,
  connection: NatsConnection,
  names: PoolNames,
): Promise<Buckets> {
  const manager = new kv.Kvm(connection);
  const options = { allow_direct: true };
  const [vms, hosts] = await Promise.all([
    manager.open(names.vms, options),
    manager.open(names.hosts, options),
  ]);
  return { vms, hosts };
}

/**
 * Creates the buckets that do not exist yet. Never creates one that exists: after bridges had created a bucket at the same
 * moment, watches of it sometimes delivered nothing (nats-server 2.9.10).
 * @param replicas servers that keep a copy: 1, 3 or 5.
 * @throws XenError `ERR_POOL_REFUSED`, `ERR_POOL_UNREACHABLE`.
 */
export async function createBuckets(
  { kv }: NatsLibrary,
  connection: NatsConnection,
  names: PoolNames,
  replicas: number,
): Promise<void> {
  const manager = new kv.Kvm(connection);
  try {
    if (!(await hasBucket(manager, names.hosts)))
      await manager.create(names.hosts, { history: 1, replicas });
    if (!(await hasBucket(manager, names.vms)))
      await manager.create(names.vms, { history: 1, replicas, ttl: VM_KEY_TTL_MS });
  } catch (error) {
    throw bucketError(names, error as Error);
  }
}

async function hasBucket(manager: Kvm, name: string): Promise<boolean> {
  try {
    await (await manager.open(name, { allow_direct: true })).status();
    return true;
  } catch (error) {
    if (isMissingBucket(error)) return false;
    throw error;
  }
}

/** Returns the error for a person, of a request about the buckets that failed. */
export function bucketError(names: PoolNames, error: Error): XenError {
  const buckets = `the buckets ${names.vms} and ${names.hosts}`;
  const reason = error.message;
  if (/permission/i.test(reason)) {
    return new XenError(
      ErrorCode.POOL_REFUSED,
      `the NATS servers do not let this user use ${buckets} (${reason}): see the accounts in docs/pool.md`,
      { cause: error },
    );
  }
  return new XenError(
    ErrorCode.POOL_UNREACHABLE,
    `the NATS servers do not give ${buckets} (${reason}): check that JetStream is enabled, that enough servers for the replicas run, and that a bridge has created them`,
    { cause: error },
  );
}

/** Whether a request failed because the bucket does not exist. */
export function isMissingBucket(error: unknown): boolean {
  return error instanceof Error && /stream not found/i.test(error.message);
}
