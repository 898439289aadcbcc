/**
 * The methods, fields and errors of the protocol, in words and as JSON Schema. `rpc.discover` answers with it, and a test
 * compares the tables of `docs/protocol.md` with it. Texts are Markdown.
 */
import { DOMID_FIRST_RESERVED } from '../domain.ts';
import { WAIT_STATES } from '../waiting.ts';
import { RpcCode } from './rpc.ts';

/** JSON Schema, draft 7. */
export type Schema = Readonly<Record<string, unknown>>;

interface FieldReference {
  readonly schema: Schema;
  readonly optional?: boolean;
}

/** A row of the table of a domain's fields. */
export interface FieldsReference {
  readonly fields: Readonly<Record<string, FieldReference>>;
  readonly meaning: string;
}

export interface ParamReference extends FieldReference {
  /** The value as the table shows it. */
  readonly shown: string;
  readonly meaning: string;
}

export type MethodName =
  | 'lookup'
  | 'domid'
  | 'lookupMany'
  | 'waitFor'
  | 'cancel'
  | 'get'
  | 'list'
  | 'subscribe'
  | 'unsubscribe'
  | 'stats'
  | 'version'
  | 'ping'
  | 'rpc.discover';

export interface MethodReference {
  readonly params: Readonly<Record<string, ParamReference>>;
  /** The text of the table. */
  readonly result: string;
  readonly schema: Schema;
  /** Whether it asks the hypervisor, and so may fail with {@link RpcCode.unavailable}. */
  readonly asksHypervisor: boolean;
}

export interface ErrorReference {
  readonly code: RpcCode;
  readonly meaning: string;
}

const string: Schema = { type: 'string' };
const boolean: Schema = { type: 'boolean' };
const count: Schema = { type: 'integer', minimum: 0 };
const amount: Schema = { type: 'number', minimum: 0 };
const empty: Schema = { type: 'object' };

/** A reference to one of {@link SCHEMAS}. */
function ref(name: string): Schema {
  return { $ref: `#/components/schemas/${name}` };
}

function arrayOf(items: Schema): Schema {
  return { type: 'array', items };
}

/** An object. A `?` after a name marks a field that may be absent. */
function object(fields: Readonly<Record<string, Schema>>): Schema {
  const properties = Object.fromEntries(
    Object.entries(fields).map(([name, schema]) => [name.replace('?', ''), schema]),
  );
  return {
    type: 'object',
    properties,
    required: Object.keys(fields).filter((name) => !name.endsWith('?')),
  };
}

/** An object with this `status`. */
function status(word: string, fields: Readonly<Record<string, Schema>> = {}): Schema {
  return object({ status: { const: word }, ...fields });
}

/** The fields of a domain, in the order of the table. */
export const DOMAIN: readonly FieldsReference[] = [
  {
    fields: { domid: { schema: ref('Domid') }, uuid: { schema: ref('Uuid') } },
    meaning: 'the domid, 0 to 32,751; the handle, in lower case',
  },
  {
    fields: { dying: { schema: boolean } },
    meaning:
      'the domain is dead, and exists until the last reference to it is dropped. The teardown before its death is not visible',
  },
  {
    fields: { shutdown: { schema: boolean }, shutdownReason: { schema: string, optional: true } },
    meaning:
      'the guest has shut down; the reason, while it is shut down: `poweroff`, `reboot`, `suspend`, `crash`, `watchdog`, `soft_reset`, or `unknown-N` for a code N that Xen adds',
  },
  {
    fields: {
      paused: { schema: boolean },
      blocked: { schema: boolean },
      running: { schema: boolean },
    },
    meaning: "Xen's flags at that moment; `blocked` and `running` change all the time",
  },
  { fields: { hvm: { schema: boolean } }, meaning: 'true for HVM and PVH, false for PV' },
  { fields: { vcpus: { schema: count } }, meaning: 'vCPUs online' },
  {
    fields: { memoryBytes: { schema: amount }, maxMemoryBytes: { schema: amount } },
    meaning:
      'memory in use, and its maximum. Values beyond 2^53, such as the maximum of a dom0 without a limit, are not exact',
  },
  { fields: { cpuTimeSeconds: { schema: amount } }, meaning: 'CPU time of all its vCPUs' },
  {
    fields: { ssidref: { schema: count } },
    meaning: 'the number of its XSM (Flask) label; 0 without XSM',
  },
  { fields: { cpupool: { schema: count } }, meaning: 'the number of its CPU pool' },
  {
    fields: { uniqueId: { schema: { ...string, pattern: '^[0-9]+$' }, optional: true } },
    meaning:
      'a string that no other domain has until the host reboots. Only on Xen 4.21 and later: always in answers to `get`, in others once the service has read it',
  },
  {
    fields: { name: { schema: string, optional: true } },
    meaning:
      'only in answers to `list` with `names`: the name in xenstore, which a guest can write',
  },
];

function domainSchema(): Schema {
  const fields = DOMAIN.flatMap((row) =>
    Object.entries(row.fields).map(([name, { schema, optional }]) => [
      optional === true ? `${name}?` : name,
      { ...schema, description: row.meaning },
    ]),
  );
  return object(Object.fromEntries(fields) as Record<string, Schema>);
}

const NOT_FOUND: Schema = status('notFound');
const domains: Schema = arrayOf(ref('Domain'));

/** Schemas that others refer to. */
export const SCHEMAS: Readonly<Record<string, Schema>> = {
  Uuid: {
    ...string,
    pattern: '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$',
    description: 'A UUID in either letter case; in answers, in lower case.',
  },
  Domid: { type: 'integer', minimum: 0, maximum: DOMID_FIRST_RESERVED - 1 },
  Token: { ...string, description: 'A place in the change feed. Opaque.' },
  Domain: domainSchema(),
  LookupResult: {
    oneOf: [
      status('found', { domain: ref('Domain'), source: string }),
      NOT_FOUND,
      status('ambiguous', { domains: { ...domains, minItems: 2 } }),
    ],
  },
  WaitResult: {
    allOf: [ref('LookupResult'), object({ reached: boolean, 'shutdownReason?': string })],
  },
};

const uuid: ParamReference = {
  shown: '"..."',
  schema: ref('Uuid'),
  meaning: 'the UUID of a VM',
};

/** The methods, in the order of the table. */
export const METHODS: Readonly<Record<MethodName, MethodReference>> = {
  lookup: {
    params: { uuid },
    result:
      '`{"status": "found", "domain": {...}, "source": "cache"}`, `{"status": "notFound"}` or `{"status": "ambiguous", "domains": [..]}`',
    schema: ref('LookupResult'),
    asksHypervisor: true,
  },
  domid: {
    params: { uuid },
    result:
      '`{"status": "found", "domid": n}`, `{"status": "notFound"}` or `{"status": "ambiguous", "domids": [..]}`; confirmed in the same way as `lookup`',
    schema: {
      oneOf: [
        status('found', { domid: ref('Domid') }),
        NOT_FOUND,
        status('ambiguous', { domids: { ...arrayOf(ref('Domid')), minItems: 2 } }),
      ],
    },
    asksHypervisor: true,
  },
  lookupMany: {
    params: {
      uuids: { shown: '[..]', schema: arrayOf(ref('Uuid')), meaning: 'the UUIDs of VMs' },
    },
    result:
      'an array of `lookup` results in the order of the UUIDs; all of them share at most one list. An element may also be `{"status": "unavailable", "cause": "..."}`',
    schema: arrayOf({
      oneOf: [ref('LookupResult'), status('unavailable', { cause: string })],
    }),
    asksHypervisor: true,
  },
  waitFor: {
    params: {
      uuid,
      state: {
        shown: '"..."',
        schema: { enum: WAIT_STATES },
        optional: true,
        meaning: 'the state to wait for; default `present`',
      },
      timeoutMs: {
        shown: 'n',
        schema: { type: 'number', exclusiveMinimum: 0 },
        optional: true,
        meaning: 'how long to wait, ms; default 30,000',
      },
    },
    result:
      'a `lookup` result with `"reached": true`, once the VM is in the [state](#waits); `"reached": false` when the time is up. `notFound` may have a `shutdownReason`',
    schema: ref('WaitResult'),
    asksHypervisor: true,
  },
  cancel: {
    params: {
      id: {
        shown: '...',
        schema: { type: ['string', 'number', 'null'] },
        meaning: 'the id of a pending `waitFor` of this connection',
      },
    },
    result: '`{}`. Ends the pending `waitFor` of this connection that has this id',
    schema: empty,
    asksHypervisor: false,
  },
  get: {
    params: { domid: { shown: 'n', schema: ref('Domid'), meaning: 'a domid' } },
    result: '`{"status": "found", "domain": {...}}` or `{"status": "notFound"}`',
    schema: { oneOf: [status('found', { domain: ref('Domain') }), NOT_FOUND] },
    asksHypervisor: true,
  },
  list: {
    params: {
      names: {
        shown: 'true',
        schema: boolean,
        optional: true,
        meaning: 'whether to add the name that xenstore has for each domain',
      },
    },
    result:
      '`{"domains": [..], "token": "..."}`. With `names`, each domain has the `name` that xenstore has for it, if any. **Guests can write names**: display them with care',
    schema: object({ domains, token: ref('Token') }),
    asksHypervisor: true,
  },
  subscribe: {
    params: {
      token: {
        shown: '"..."',
        schema: ref('Token'),
        optional: true,
        meaning: 'begin after this place in the feed',
      },
    },
    result:
      '`{"subscription": n, "domains"?: [..], "token": "..."}`, then [notifications](#subscriptions)',
    schema: object({ subscription: count, 'domains?': domains, token: ref('Token') }),
    asksHypervisor: true,
  },
  unsubscribe: {
    params: {
      subscription: {
        shown: 'n',
        schema: count,
        meaning: 'the number of a subscription of this connection',
      },
    },
    result: '`{}`',
    schema: empty,
    asksHypervisor: false,
  },
  stats: {
    params: {},
    result: '[counters](#stats) since the service started',
    schema: empty,
    asksHypervisor: false,
  },
  version: {
    params: {},
    result:
      '`{"package", "protocol", "xen", "domctlInterface", "sysctlInterface", "uniqueIds", "simulated"?: true}`: versions of the service, of this protocol, of Xen, and of its two hypercall interfaces; `uniqueIds`: `yes`, `no` (before Xen 4.21) or `denied` (by Xen\'s security module); `simulated` if the service answers for a simulated host',
    schema: object({
      package: string,
      protocol: count,
      xen: string,
      domctlInterface: count,
      sysctlInterface: count,
      uniqueIds: string,
      'simulated?': boolean,
    }),
    asksHypervisor: false,
  },
  ping: {
    params: {},
    result: '`{}`, without asking the hypervisor: the service answers',
    schema: empty,
    asksHypervisor: false,
  },
  'rpc.discover': {
    params: {},
    result: 'this table and the others as an [OpenRPC](https://spec.open-rpc.org) document',
    schema: empty,
    asksHypervisor: false,
  },
};

/** The errors, in the order of the table. */
export const ERRORS: Readonly<Record<string, ErrorReference>> = {
  ParseError: { code: RpcCode.parseError, meaning: 'not JSON, or not UTF-8' },
  InvalidRequest: {
    code: RpcCode.invalidRequest,
    meaning: 'JSON, but not a request; `subscribe` and `waitFor` over HTTP, `waitFor` in a batch',
  },
  MethodNotFound: { code: RpcCode.methodNotFound, meaning: 'no such method' },
  InvalidParams: {
    code: RpcCode.invalidParams,
    meaning:
      'wrong params: not a UUID, a UUID that names no VM (the nil handle or a tombstone), not a domid ...',
  },
  InternalError: {
    code: RpcCode.internalError,
    meaning: 'a bug in the service; its log has details',
  },
  Unavailable: {
    code: RpcCode.unavailable,
    meaning:
      'the hypervisor could not be asked. `data.cause` is `timeout` or [an error code](errors.md) such as `ERR_NOT_PERMITTED`. Never "not found"',
  },
  Refused: {
    code: RpcCode.refused,
    meaning:
      'a [bound](#bounds) of the service is exceeded, or a wait is cancelled. If `id` is null, the service ends the connection, except after a batch that is too long',
  },
};
