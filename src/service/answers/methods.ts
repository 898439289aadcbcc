/** The methods. None changes anything on the host. */
import type { Inventory } from '../../inventory/inventory.ts';
import { checkMs } from '../../timeout.ts';
import { parseUuid, type Uuid } from '../../uuid.ts';
import { checkNamesVm } from '../../vm-uuid.ts';
import { checkWaitState, type WaitOptions } from '../../waiting.ts';
import { ErrorCode, XenError } from '../../xen-error.ts';
import { Names } from './names.ts';
import { openRpcJson } from './open-rpc.ts';
import type { MethodName } from '../../protocol/reference.ts';
import { RpcCode } from '../../protocol/rpc.ts';
import {
  domidJson,
  elementJson,
  Failure,
  getJson,
  lookupJson,
  waitJson,
} from '../../protocol/encode.ts';
import { domainsText, type Text } from './text.ts';
import type { MethodCounts, RequestCounts } from './request-counts.ts';
import { type Asker, type Pace, SharedCalls } from './shared-calls.ts';

/** JSON of a result, or an error. */
export type Outcome = Text | Failure;

/** A promise of an outcome; of undefined if the request is not answered, because its connection ends. */
export type Pending = Promise<Outcome | undefined>;

/** The part of a connection that methods use. */
export interface Session {
  subscribe(token: string | undefined): Promise<Outcome>;
  /** @returns whether there was such a subscription. */
  unsubscribe(subscription: number): boolean;
  /** @param id of the request, as JSON. @param begin begins the wait; the signal ends it. */
  wait(id: string, begin: (signal: AbortSignal) => Promise<Outcome>): Pending;
  /** Ends the wait of the request with this id. @returns whether there was one. */
  cancel(id: string): boolean;
}

/** The client that a request is answered for. */
export interface Caller extends Asker {
  /** Undefined over HTTP. */
  readonly session: Session | undefined;
}

/** The outcome of the requests of a client that has gone. Nobody reads it. */
export const CLIENT_GONE: Failure = new Failure(RpcCode.refused, 'the client has gone');

type Params = Readonly<Record<string, unknown>>;
/** @param id of the request, as JSON. */
type Call = (params: Params, caller: Caller, id: string) => Outcome | Pending;

export interface Method {
  readonly call: Call;
  readonly counts: MethodCounts;
  /** Whether to call it for a notification, which gets no answer. */
  readonly hasEffect: boolean;
  /** Whether a batch must not have it, because it would delay the answer of the batch. */
  readonly isAlone: boolean;
}

export type Methods = ReadonlyMap<string, Method>;

export interface MethodsOptions {
  readonly inventory: Inventory;
  /** The pace of lists for clients. */
  readonly pace: Pace;
  readonly counts: RequestCounts;
  readonly packageVersion: string;
  /** Return the results of `stats` and `version`. */
  readonly stats: () => object;
  readonly version: () => object;
}

export function methodsOf(options: MethodsOptions): Methods {
  const { inventory, pace, counts, stats, version } = options;
  const lists = new SharedCalls(pace, () => inventory.list());
  const names = new Names({ xenstore: () => inventory.xenstore });
  const document = openRpcJson(options.packageVersion);
  const calls: Readonly<Record<MethodName, Call>> = {
    lookup: ({ uuid }, { gone: signal }) =>
      withUuid(uuid, (checked) => {
        const result = inventory.resolve(checked, { signal });
        return result instanceof Promise ? result.then(lookupJson) : lookupJson(result);
      }),
    domid: ({ uuid }, { gone: signal }) =>
      withUuid(uuid, (checked) => {
        const result = inventory.resolve(checked, { signal });
        return result instanceof Promise ? result.then(domidJson) : domidJson(result);
      }),
    lookupMany: ({ uuids }, { gone }) => lookupMany(inventory, uuids, gone),
    waitFor: (params, { session }, id) => waitFor(inventory, params, session, id),
    cancel: ({ id }, { session }) => cancel(session, id),
    get: ({ domid }) => get(inventory, domid),
    list: ({ names: wanted }, caller) => list(lists, names, wanted ?? undefined, caller),
    subscribe: ({ token }, { session }) => subscribe(session, token ?? undefined),
    unsubscribe: ({ subscription }, { session }) => unsubscribe(session, subscription),
    stats: () => JSON.stringify(stats()),
    version: () => JSON.stringify(version()),
    ping: () => '{}',
    'rpc.discover': () => document,
  };
  return new Map(
    Object.entries(calls).map(([name, call]) => [
      name,
      {
        call,
        counts: counts.of(name),
        hasEffect: name === 'unsubscribe' || name === 'cancel',
        isAlone: name === 'waitFor',
      },
    ]),
  );
}

function missing(param: string): Failure {
  return invalidParams(`the param "${param}" is missing`);
}

function invalidParams(why: string): Failure {
  return new Failure(RpcCode.invalidParams, why);
}

/** Validates `uuid`, and answers invalid params for one that is malformed or names no VM. */
function withUuid(uuid: unknown, call: (checked: Uuid) => Outcome | Pending): Outcome | Pending {
  if (uuid === undefined) return missing('uuid');
  try {
    return call(parseUuid(uuid));
  } catch (error) {
    return invalidUuid(error);
  }
}

function invalidUuid(error: unknown): Failure {
  if (error instanceof XenError && error.code === ErrorCode.INVALID_UUID)
    return invalidParams(error.message);
  throw error;
}

async function lookupMany(
  inventory: Inventory,
  uuids: unknown,
  signal: AbortSignal,
): Promise<Outcome> {
  if (uuids === undefined) return missing('uuids');
  if (!Array.isArray(uuids)) return invalidParams('"uuids" must be an array of UUIDs');
  try {
    const results = await inventory.lookupMany(uuids as string[], { signal });
    return `[${results.map(elementJson).join()}]`;
  } catch (error) {
    return invalidUuid(error);
  }
}

function waitFor(
  inventory: Inventory,
  { uuid, state, timeoutMs }: Params,
  session: Session | undefined,
  id: string,
): Outcome | Pending {
  if (session === undefined) return needsConnection('waitFor');
  return withUuid(uuid, (checked) => {
    checkNamesVm(checked);
    const options = optionsOf(state ?? undefined, timeoutMs ?? undefined);
    if (options instanceof Failure) return options;
    return session.wait(id, async (signal) =>
      waitJson(await inventory.waitFor(checked, { ...options, signal })),
    );
  });
}

function optionsOf(state: unknown, timeoutMs: unknown): WaitOptions | Failure {
  try {
    return {
      ...(state !== undefined && { state: checkWaitState(state) }),
      ...(timeoutMs !== undefined && { timeoutMs: checkMs('timeoutMs', timeoutMs as number) }),
    };
  } catch (error) {
    return invalidParams((error as Error).message);
  }
}

function cancel(session: Session | undefined, id: unknown): Outcome {
  if (id === undefined) return missing('id');
  return session?.cancel(JSON.stringify(id)) === true
    ? '{}'
    : invalidParams('this connection has no pending waitFor with this id');
}

async function get(inventory: Inventory, domid: unknown): Promise<Outcome> {
  if (domid === undefined) return missing('domid');
  if (typeof domid !== 'number') return invalidParams('"domid" must be a number');
  try {
    return getJson(await inventory.get(domid));
  } catch (error) {
    if (error instanceof XenError && error.code === ErrorCode.INVALID_DOMID)
      return invalidParams(error.message);
    throw error;
  }
}

async function list(
  lists: SharedCalls<Awaited<ReturnType<Inventory['list']>>>,
  names: Names,
  wanted: unknown,
  caller: Caller,
): Promise<Outcome> {
  if (wanted !== undefined && typeof wanted !== 'boolean')
    return invalidParams('"names" must be true or false');
  const made = await lists.next(caller);
  if (made === undefined) return CLIENT_GONE;
  const { domains, token } = made;
  const named = wanted === true ? await names.of(domains) : undefined;
  return domainsText('{"domains":', domains, `,"token":"${token}"}`, named);
}

function subscribe(session: Session | undefined, token: unknown): Outcome | Promise<Outcome> {
  if (token !== undefined && typeof token !== 'string')
    return invalidParams('"token" must be a string from an earlier answer or notification');
  return session === undefined
    ? needsConnection('subscribe', '; over HTTP, GET /events')
    : session.subscribe(token);
}

function needsConnection(method: string, instead = ', not over HTTP'): Failure {
  return new Failure(
    RpcCode.invalidRequest,
    `${method} needs a lasting connection: send it as a line to the socket itself${instead}`,
  );
}

function unsubscribe(session: Session | undefined, subscription: unknown): Outcome {
  if (subscription === undefined) return missing('subscription');
  if (typeof subscription !== 'number') return invalidParams('"subscription" must be a number');
  return session?.unsubscribe(subscription) === true
    ? '{}'
    : invalidParams(`this connection has no subscription ${subscription}`);
}
