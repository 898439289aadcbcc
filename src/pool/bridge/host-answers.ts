/** Answers the requests of the pool for this host, out of the local daemon. */
import type { InventoryClient } from '../../client/client.ts';
import { readMessage } from '../../protocol/decode.ts';
import { elementJson, Failure, failureReply, unavailableFailure } from '../../protocol/encode.ts';
import { RpcCode } from '../../protocol/rpc.ts';
import type { LookupResult } from '../../results.ts';
import { parseUuid, type Uuid } from '../../uuid.ts';
import { namesNoVm } from '../../vm-uuid.ts';
import { ErrorCode, XenError } from '../../xen-error.ts';
import type { HostEntry } from '../entries.ts';
import { changeParts, domainParts } from '../feed-messages.ts';
import type { HostName, PoolNames } from '../names.ts';
import type { Msg, NatsConnection } from '../nats.ts';
import { parsePosition } from '../position.ts';
import { UUIDS_PER_REQUEST } from '../words.ts';

export interface HostAnswersOptions {
  readonly client: InventoryClient;
  readonly connection: NatsConnection;
  readonly names: PoolNames;
  readonly host: HostName;
  readonly entry: () => HostEntry;
  /** Whether the host's name is claimed. Before, only `status` is answered. */
  readonly isOpen: () => boolean;
  /** Least time since the host may have had the VM, ms; 0 if it may have it. */
  readonly leftMs: (uuid: Uuid) => number;
}

type Fields = Readonly<Record<string, unknown>>;

/** Maximum UUIDs that are being looked up for the pool, so that the daemon has time for its other clients. */
const LOOKUPS_MAX = 2000;
/** Maximum requests for a list or for the feed that are being answered. */
const LISTS_MAX = 4;
const LOOKUP_MS = 5000;
const LIST_MS = 20_000;
const REQUEST_BYTES_MAX = 65_536;

const REFUSED = new Failure(RpcCode.refused, 'too many requests are pending: ask again');

export class HostAnswers {
  /** Requests by method, and requests that were refused. */
  readonly counts = { lookup: 0, domid: 0, list: 0, feed: 0, status: 0, refused: 0 };
  readonly #options: HostAnswersOptions;
  readonly #unsubscribe: () => void;
  #lookups = 0;
  #lists = 0;

  constructor(options: HostAnswersOptions) {
    this.#options = options;
    const { connection, names, host } = options;
    const requests = connection.subscribe(names.ask(host, '*'), {
      callback: (error, message) => {
        if (error === null) void this.#answer(message.reply, () => this.#repliesTo(message));
      },
    });
    this.#unsubscribe = () => requests.unsubscribe();
  }

  close(): void {
    this.#unsubscribe();
  }

  /** Answers a look-up on the subject of a VM. */
  lookup({ subject, reply }: Msg): void {
    const uuid = subject.slice(subject.lastIndexOf('.') + 1);
    void this.#answer(reply, async () => [await this.#lookup('lookup', { uuids: [uuid] })]);
  }

  async #answer(
    reply: string | undefined,
    answers: () => Promise<readonly string[]>,
  ): Promise<void> {
    const { connection, names, host } = this.#options;
    const subject = names.answer(reply, host);
    if (subject === undefined) return;
    let texts: readonly string[];
    try {
      texts = await answers();
    } catch (error) {
      texts = [failureReply('null', failureOf(error))];
    }
    // It may have been closed meanwhile.
    if (!connection.isClosed()) for (const text of texts) connection.publish(subject, text);
  }

  async #repliesTo(message: Msg): Promise<readonly string[]> {
    if (message.data.length > REQUEST_BYTES_MAX)
      throw new Failure(RpcCode.invalidRequest, `more than ${REQUEST_BYTES_MAX} bytes`);
    const method = message.subject.slice(message.subject.lastIndexOf('.') + 1);
    if (method !== 'status' && !this.#options.isOpen()) throw this.#refused();
    const params = message.data.length === 0 ? {} : readMessage(message.string());
    switch (method) {
      case 'lookup':
      case 'domid':
        return [await this.#lookup(method, params)];
      case 'list':
      case 'feed':
        this.counts[method]++;
        return this.#oneOfFew(() => (method === 'list' ? this.#list(params) : this.#feed(params)));
      case 'status':
        this.counts.status++;
        return [`{"result":${JSON.stringify(this.#options.entry())}}`];
      default:
        throw new Failure(RpcCode.methodNotFound, 'expected lookup, domid, list, feed or status');
    }
  }

  async #lookup(method: 'lookup' | 'domid', params: Fields): Promise<string> {
    this.counts[method]++;
    const uuids = uuidsOf(params);
    if (this.#lookups + uuids.length > LOOKUPS_MAX) throw this.#refused();
    this.#lookups += uuids.length;
    try {
      const results = await this.#ask(uuids);
      const texts = results.map((result, index) =>
        this.#element(uuids[index] as Uuid, result, method === 'domid'),
      );
      return `{"result":[${texts.join()}]}`;
    } finally {
      this.#lookups -= uuids.length;
    }
  }

  async #ask(uuids: readonly Uuid[]): Promise<LookupResult[]> {
    const { client } = this.#options;
    const [only] = uuids;
    // The daemon answers a single look-up in less time.
    return uuids.length === 1 && only !== undefined
      ? [await client.lookup(only, { timeoutMs: LOOKUP_MS })]
      : client.lookupMany(uuids, { timeoutMs: LOOKUP_MS });
  }

  #element(uuid: Uuid, result: LookupResult, domidOnly: boolean): string {
    if (result.status === 'notFound')
      return `{"status":"notFound","leftMs":${Math.floor(this.#options.leftMs(uuid))}}`;
    if (!domidOnly || result.status === 'unavailable') return elementJson(result);
    return result.status === 'found'
      ? `{"status":"found","domid":${result.domain.domid}}`
      : `{"status":"ambiguous","domids":[${result.domains.map(({ domid }) => domid).join()}]}`;
  }

  async #list(params: Fields): Promise<readonly string[]> {
    const names = params['names'] === true;
    const { domains, token } = await this.#options.client.list({ names, timeoutMs: LIST_MS });
    return domainParts(domains, token);
  }

  /** Answers with the changes after a token, or with a snapshot if the daemon does not have them any more. */
  async #feed(params: Fields): Promise<readonly string[]> {
    const { client, entry } = this.#options;
    const { token } = params;
    if (token === undefined) return this.#list({});
    const position = parsePosition(token);
    if (position === undefined) throw new Failure(RpcCode.invalidParams, 'not a token');
    const { epoch, revision } = entry();
    if (position.epoch === epoch && position.revision >= revision)
      return changeParts([], token as string, false);
    const signal = AbortSignal.timeout(LIST_MS);
    for await (const batch of client.subscribe({ token: token as string, signal })) {
      return batch.kind === 'changes'
        ? changeParts(batch.changes, batch.token, batch.conflated === true)
        : domainParts(batch.domains, batch.token);
    }
    throw unavailableFailure({ status: 'unavailable', cause: 'timeout' });
  }

  async #oneOfFew(run: () => Promise<readonly string[]>): Promise<readonly string[]> {
    if (this.#lists >= LISTS_MAX) throw this.#refused();
    this.#lists++;
    try {
      return await run();
    } finally {
      this.#lists--;
    }
  }

  #refused(): Failure {
    this.counts.refused++;
    return REFUSED;
  }
}

/** @throws XenError, Failure for anything else than some UUIDs of VMs. */
function uuidsOf(params: Fields): Uuid[] {
  const { uuids } = params;
  if (!Array.isArray(uuids) || uuids.length > UUIDS_PER_REQUEST)
    throw new Failure(
      RpcCode.invalidParams,
      `expected {"uuids": [..]}, at most ${UUIDS_PER_REQUEST}`,
    );
  const parsed = uuids.map(parseUuid);
  if (parsed.some(namesNoVm)) throw new Failure(RpcCode.invalidParams, 'a UUID that names no VM');
  return parsed;
}

function failureOf(error: unknown): Failure {
  if (error instanceof Failure) return error;
  if (!(error instanceof XenError)) return new Failure(RpcCode.internalError, 'the bridge failed');
  const { code, message } = error;
  if (code === ErrorCode.INVALID_UUID) return new Failure(RpcCode.invalidParams, message);
  if (code === ErrorCode.SERVICE_PROTOCOL)
    return new Failure(RpcCode.parseError, 'expected a JSON object');
  return unavailableFailure({ status: 'unavailable', cause: code, error });
}
