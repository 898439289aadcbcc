/** How a command reaches the pool. */
import type { Pool, PoolOptions } from '../../pool/pool.ts';
import { type OptionValues, UsageError } from '../arguments.ts';
import type { Io } from '../io.ts';

/** Returns the servers, the credentials and the bucket. @throws UsageError without a server. */
export function poolOptions(io: Io, options: OptionValues): PoolOptions {
  const text = options.nats ?? io.environment['XEN_DOMID_NATS'] ?? '';
  const servers = text.split(',').filter((url) => url !== '');
  if (servers.length === 0) {
    throw new UsageError(
      'no NATS server is named: give --nats nats://HOST:4222, or set XEN_DOMID_NATS',
    );
  }
  return {
    servers,
    creds: options.creds,
    tlsCa: options['tls-ca'],
    tlsCert: options['tls-cert'],
    tlsKey: options['tls-key'],
    bucket: options.bucket,
  };
}

/** Calls `ask` with a connection to the pool. */
export async function askPool<T>(
  io: Io,
  options: OptionValues,
  ask: (connected: Pool) => Promise<T>,
): Promise<T> {
  const connectOptions = poolOptions(io, options);
  const { Pool: PoolClass } = await import('../../pool/pool.ts');
  const connected = await PoolClass.connect({ ...connectOptions, watch: false });
  try {
    return await ask(connected);
  } finally {
    await connected.close();
  }
}
