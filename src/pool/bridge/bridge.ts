/** The bridge: connects the daemon of one host to the pool. The daemon itself gets no network. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { InventoryClient } from '../../client/client.ts';
import type { ServiceVersion } from '../../protocol/results.ts';
import type { Log } from '../../service/log.ts';
import type { Metric } from '../../service/exposition.ts';
import { checkMs } from '../../timeout.ts';
import { ErrorCode, XenError } from '../../xen-error.ts';
import { bindBuckets, bucketError, createBuckets } from '../buckets.ts';
import type { HostEntry } from '../entries.ts';
import { HostRequests } from '../host-requests.ts';
import { defaultHostName, type HostName, parseHostName, PoolNames } from '../names.ts';
import { connectNats, loadNats, type NatsConnection, type NatsLibrary } from '../nats.ts';
import { BEAT_MS, Registry } from '../registry.ts';
import type { PoolServers } from '../servers.ts';
import { bridgeMetrics } from './bridge-metrics.ts';
import { FeedRelay } from './feed-relay.ts';
import { HostAnswers } from './host-answers.ts';
import { HostClaim, inUse } from './host-claim.ts';
import { KeyWriter } from './key-writer.ts';
import { VmSubjects } from './vm-subjects.ts';

export interface BridgeOptions extends PoolServers {
  /** The daemon's socket. Default as in a client. */
  readonly socket?: string | undefined;
  /** Name of this host in the pool. Default: the machine's, up to the first dot. */
  readonly host?: string | undefined;
  /** Default `xen-domid`. */
  readonly bucket?: string | undefined;
  /** Servers that keep a copy of the buckets, where this bridge creates them: 1, 3 or 5. Default 3. */
  readonly replicas?: number | undefined;
  readonly acceptSimulated?: boolean;
  readonly log?: Log;
  /** How long to try to connect at the start, ms. Default 10,000. */
  readonly timeoutMs?: number;
  /** How often to write the host's entry, ms. Default 5000. */
  readonly beatMs?: number;
}

export interface Bridge {
  readonly host: HostName;
  /** Rejects when another bridge has taken the host's name, or the connection is closed for good. */
  readonly failed: Promise<never>;
  /** Whether the daemon's feed is connected, and the host's last entry was stored. */
  readonly healthy: boolean;
  metrics(): Metric[];
  close(): Promise<void>;
}

const TIMEOUT_MS = 10_000;
const REPLICAS = 3;
/** How long another bridge of the same host may take to answer, ms. */
const OTHER_BRIDGE_MS = 1000;
/** Beats to wait where no host is known: after a loss of the bucket, the others enter the hosts that they know. */
const EMPTY_BEATS = 2;
/** Attempts of each request at the start, each of up to the 5 s of a request to JetStream that is not answered. */
const START_ATTEMPTS = 6;
const START_AGAIN_MS = 500;
/** A bridge creates deleted buckets again after a random part of this time, ms, because all bridges miss them at the same moment. */
const REPAIR_SPREAD_MS = 1000;
/** How often to compare the keys in the bucket with the host, ms. */
const AUDIT_MS = 600_000;

/**
 * Starts a bridge. It waits for the daemon as long as necessary.
 * @throws XenError as `Pool.connect`, and `ERR_POOL_HOST_IN_USE` if a bridge of a host with this name answers.
 */
export async function startBridge(options: BridgeOptions): Promise<Bridge> {
  const { log = () => undefined, timeoutMs = TIMEOUT_MS } = options;
  checkMs('timeoutMs', timeoutMs);
  const host = options.host === undefined ? defaultHostName() : parseHostName(options.host);
  const names = new PoolNames(options.bucket);
  const library = await loadNats();
  const connection = await connectNats(library, {
    ...options,
    name: `xen-domid ${host}`,
    timeoutMs,
  });
  const client = new InventoryClient({
    ...(options.socket !== undefined && { socket: options.socket }),
    acceptSimulated: options.acceptSimulated ?? false,
  });
  const running = new RunningBridge({ ...options, log, host, names, library, connection, client });
  try {
    await running.start();
  } catch (error) {
    await running.close();
    throw error;
  }
  return running;
}

interface Parts extends BridgeOptions {
  readonly log: Log;
  readonly host: HostName;
  readonly names: PoolNames;
  readonly library: NatsLibrary;
  readonly connection: NatsConnection;
  readonly client: InventoryClient;
}

class RunningBridge implements Bridge {
  readonly host: HostName;
  readonly failed: Promise<never>;
  readonly #parts: Parts;
  readonly #beatMs: number;
  readonly #id = randomBytes(8).toString('hex');
  readonly #closing = new AbortController();
  readonly #relay: FeedRelay;
  #registry: Registry | undefined;
  #writer: KeyWriter | undefined;
  #subjects: VmSubjects | undefined;
  #claim: HostClaim | undefined;
  #answers: HostAnswers | undefined;
  #version: ServiceVersion | undefined;
  #fail: (error: XenError) => void = () => undefined;
  #isRegistered = true;
  #auditedMs = -Infinity;
  /** Resolves the pause between two beats. */
  #beatNow: () => void = () => undefined;
  #beats: Promise<void> = Promise.resolve();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.host = parts.host;
    this.#beatMs = parts.beatMs ?? BEAT_MS;
    this.failed = new Promise((_, reject) => (this.#fail = reject));
    this.failed.catch(() => undefined);
    const { client, connection, names, host, log } = parts;
    this.#relay = new FeedRelay({
      client,
      connection,
      names,
      host,
      onTouched: (uuids) => {
        this.#writer?.note(uuids);
        this.#subjects?.note(uuids);
      },
      onJump: () => this.#beatNow(),
      onLost: (reason) => log('warning', `${reason.message}. Reconnecting...`),
      onConnected: () => log('info', 'connected to the service again'),
    });
  }

  async start(): Promise<void> {
    const { library, connection, names, client, host, log } = this.#parts;
    const { replicas = REPLICAS } = this.#parts;
    await this.#patiently(() => createBuckets(library, connection, names, replicas));
    const buckets = await bindBuckets(library, connection, names);
    const registry = new Registry(buckets.hosts, this.#beatMs);
    this.#registry = registry;
    await this.#loaded(registry);
    const claim = new HostClaim({
      bucket: buckets.hosts,
      host,
      entry: () => this.#entry(),
      peers: () => [...registry.names].filter((name) => name !== host),
    });
    await this.#patiently(() => claim.prepare());
    await this.#checkAlone();
    if (registry.names.size === 0) await this.#waitForOthers(registry);
    await this.#orClosed(this.#relay.started);
    this.#version = await client.version();

    const writer = new KeyWriter({
      bucket: buckets.vms,
      host,
      mirror: this.#relay.mirror,
      epoch: () => this.#relay.position.epoch,
      onFailure: (error) => this.#repair(error),
    });
    this.#writer = writer;
    // Before the claim, so that another bridge that starts finds out about this one.
    this.#answers = new HostAnswers({
      client,
      connection,
      names,
      host,
      entry: () => this.#entry(),
      leftMs: (uuid) => this.#relay.leftMs(uuid),
      isOpen: () => this.#claim !== undefined,
    });
    await this.#patiently(() => claim.take());
    this.#claim = claim;
    this.#subjects = new VmSubjects({
      connection,
      names,
      mirror: this.#relay.mirror,
      onLookup: (message) => this.#answers?.lookup(message),
    });
    registry.observe((name, { present }) => {
      if (name === host && !present) this.#beatNow();
    });
    this.#beats = this.#beat();
    void this.#watchConnection();
    // Its failure is that of the next beat too.
    await this.#audit().catch(() => this.#beatNow());
    log('info', `host ${host} is in the pool: ${this.#relay.mirror.size} VMs`);
  }

  get healthy(): boolean {
    return this.#isRegistered && this.#relay.isLive;
  }

  metrics(): Metric[] {
    if (this.#writer === undefined || this.#answers === undefined) return [];
    return bridgeMetrics({
      relay: this.#relay,
      writer: this.#writer,
      answers: this.#answers,
      hosts: () => this.#registry?.names.size ?? 0,
      isRegistered: () => this.#isRegistered,
      labels: { host: this.host },
    });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#beatNow();
    this.#answers?.close();
    this.#writer?.close();
    this.#relay.close();
    this.#registry?.close();
    const { connection, client } = this.#parts;
    await client.close();
    if (!connection.isClosed()) await connection.close();
    await this.#beats;
  }

  /**
   * Runs a request to JetStream, again for a while if it fails: the servers may be about to elect a leader.
   * @throws XenError.
   */
  async #patiently<T>(run: () => Promise<T>): Promise<T> {
    const { names, log } = this.#parts;
    for (let attempts = 1; ; attempts++) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- one attempt after the other
        return await run();
      } catch (error) {
        const reason = error instanceof XenError ? error : bucketError(names, error as Error);
        const isPassing = reason.code === ErrorCode.POOL_UNREACHABLE;
        if (!isPassing || attempts >= START_ATTEMPTS || this.#closing.signal.aborted) throw reason;
        log('warning', `${reason.message}. Trying again...`);
        // oxlint-disable-next-line no-await-in-loop
        await sleep(START_AGAIN_MS);
      }
    }
  }

  #entry(): HostEntry {
    const { epoch, revision } = this.#relay.position;
    return {
      bridge: this.#id,
      epoch,
      revision,
      domains: this.#relay.mirror.size,
      version: this.#version?.package ?? '',
      xen: this.#version?.xen ?? '',
    };
  }

  async #loaded(registry: Registry): Promise<void> {
    const { names, timeoutMs = TIMEOUT_MS } = this.#parts;
    const late = sleep(timeoutMs, undefined, { ref: false, signal: this.#closing.signal });
    await Promise.race([registry.loaded, late.catch(() => undefined)]);
    const { failure } = registry;
    if (failure !== undefined) throw bucketError(names, failure);
  }

  /** @throws XenError `ERR_POOL_HOST_IN_USE` if another bridge answers for this host. */
  async #checkAlone(): Promise<void> {
    const { library, connection, names, host } = this.#parts;
    const requests = new HostRequests(library, connection, names);
    const reply = await requests.ask(host, 'status', '{}', OTHER_BRIDGE_MS);
    if ('result' in reply) throw inUse(host);
  }

  async #waitForOthers(registry: Registry): Promise<void> {
    const { log } = this.#parts;
    log('info', 'the pool knows no host yet: waiting for others to enter theirs');
    const ends = performance.now() + EMPTY_BEATS * this.#beatMs;
    while (registry.names.size === 0 && performance.now() < ends && !this.#closing.signal.aborted)
      // oxlint-disable-next-line no-await-in-loop -- poll
      await sleep(Math.min(100, this.#beatMs));
  }

  async #orClosed(promise: Promise<void>): Promise<void> {
    const { signal } = this.#closing;
    await Promise.race([
      promise,
      new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => resolve(), { once: true });
      }),
    ]);
    if (signal.aborted) throw new XenError(ErrorCode.CLOSED, 'the bridge has been closed');
  }

  /** Writes the host's entry every few seconds. */
  async #beat(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      // oxlint-disable-next-line no-await-in-loop -- one beat after the other
      await this.#pause();
      if (signal.aborted) return;
      try {
        await this.#claim?.renew();
        this.#setRegistered(true);
        if (performance.now() - this.#auditedMs > AUDIT_MS) await this.#audit();
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof XenError) {
          this.#fail(error);
          return;
        }
        // oxlint-disable-next-line no-await-in-loop
        await this.#repair(error as Error);
      }
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#beatMs);
      this.#beatNow = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Creates the buckets where they were deleted, and enters this host again. */
  async #repair(reason: Error): Promise<void> {
    const { library, connection, names, log } = this.#parts;
    this.#setRegistered(false, reason);
    try {
      await sleep(Math.random() * REPAIR_SPREAD_MS, undefined, { signal: this.#closing.signal });
      await createBuckets(library, connection, names, this.#parts.replicas ?? REPLICAS);
      await this.#claim?.renew();
      await this.#audit();
      this.#setRegistered(true);
    } catch (error) {
      if (error instanceof XenError && error.code === ErrorCode.POOL_HOST_IN_USE) this.#fail(error);
      else if (!this.#closing.signal.aborted)
        log(
          'warning',
          `the keys of host ${this.host} cannot be written: ${(error as Error).message}`,
        );
    }
  }

  async #audit(): Promise<void> {
    await this.#writer?.audit();
    this.#auditedMs = performance.now();
  }

  #setRegistered(isRegistered: boolean, reason?: Error): void {
    if (this.#isRegistered === isRegistered) return;
    this.#isRegistered = isRegistered;
    const { log } = this.#parts;
    if (isRegistered) log('info', `host ${this.host} is in the pool again`);
    else log('warning', `host ${this.host} cannot be entered in the pool: ${reason?.message}`);
  }

  async #watchConnection(): Promise<void> {
    const { connection, log } = this.#parts;
    void connection.closed().then((error) => {
      if (this.#closing.signal.aborted) return;
      this.#fail(
        new XenError(
          ErrorCode.POOL_UNREACHABLE,
          `the connection to the NATS servers was closed (${error?.message ?? 'no reason given'}): see the servers' log, and start the bridge again`,
        ),
      );
    });
    for await (const status of connection.status()) {
      if (status.type === 'disconnect')
        log('warning', 'the connection to the NATS servers is lost');
      if (status.type === 'error')
        log('warning', `the NATS servers refuse: ${status.error.message}`);
      if (status.type !== 'reconnect') continue;
      log('info', 'connected to the NATS servers again');
      // Its failure is that of the next beat too.
      await this.#audit().catch(() => this.#beatNow());
    }
  }
}
