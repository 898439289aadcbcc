/** Names of hosts, keys and subjects. Anybody with access to the servers can write a key, so every name is checked. */
import { hostname } from 'node:os';
import { parseUuid, type Uuid } from '../uuid.ts';
import { namesNoVm } from '../vm-uuid.ts';
import { ErrorCode, XenError } from '../xen-error.ts';

declare const hostBrand: unique symbol;

/** The name of a host in the pool: 1 to 63 letters, digits, `_` and `-`, because it is one token of a NATS subject. */
export type HostName = string & { readonly [hostBrand]: true };

const HOST_NAME = /^[A-Za-z0-9][\w-]{0,62}$/;
const BUCKET = /^[A-Za-z0-9][\w-]{0,31}$/;

/** The bucket, and the first token of all subjects, unless another one is named. */
export const DEFAULT_BUCKET = 'xen-domid';

/** Requests that a bridge answers: the last token of the subject. */
export type AskMethod = 'lookup' | 'domid' | 'list' | 'feed' | 'status';

export function isHostName(text: string): text is HostName {
  return HOST_NAME.test(text);
}

/** @throws XenError `ERR_INVALID_OPTION`. */
export function parseHostName(text: string): HostName {
  if (isHostName(text)) return text;
  throw new XenError(
    ErrorCode.INVALID_OPTION,
    `${JSON.stringify(text.slice(0, 80))} cannot name a host of the pool: expected 1 to 63 letters, digits, "_" and "-"; name it by --host`,
  );
}

/** Returns the name of this machine, up to the first dot. @throws XenError `ERR_INVALID_OPTION`. */
export function defaultHostName(): HostName {
  return parseHostName(hostname().replace(/\..*$/s, ''));
}

/** The buckets and subjects of one pool. */
export class PoolNames {
  /** Key-value bucket with a key for each VM. Its keys expire. */
  readonly vms: string;
  /** Key-value bucket with the keys of the hosts. They do not expire. */
  readonly hosts: string;
  /** The reply subjects of requests. */
  readonly #replies: RegExp;

  /** @throws XenError `ERR_INVALID_OPTION`. */
  constructor(bucket: string = DEFAULT_BUCKET) {
    if (!BUCKET.test(bucket)) {
      throw new XenError(
        ErrorCode.INVALID_OPTION,
        `${JSON.stringify(bucket.slice(0, 80))} cannot name a bucket: expected 1 to 32 letters, digits, "_" and "-"`,
      );
    }
    this.vms = bucket;
    this.hosts = `${bucket}-hosts`;
    this.#replies = new RegExp(`^${bucket}\\.answer\\.\\w+\\.[\\w-]+$`);
  }

  /** Subject of a request to a host's bridge. `*` stands for all methods. */
  ask(host: HostName, method: AskMethod | '*'): string {
    return `${this.vms}.ask.${host}.${method}`;
  }

  /** Subject of a look-up of a VM by whichever host has it. Only the bridges of hosts that have it subscribe to it. */
  where(uuid: Uuid): string {
    return `${this.vms}.where.${uuid}`;
  }

  /** Reply subject of a request. A server publishes to it if nobody subscribes to the subject of the request. */
  reply(asker: string, request: string): string {
    return `${this.vms}.answer.${asker}.${request}`;
  }

  /**
   * Subject of a host's answer to a request with this reply subject. With the accounts of docs/pool.md, only the bridge of
   * this host may publish to it.
   * @returns undefined if the reply subject is not one of this pool: a stranger must not choose where a bridge publishes.
   */
  answer(reply: string | undefined, host: HostName): string | undefined {
    return reply !== undefined && this.#replies.test(reply) ? `${reply}.${host}` : undefined;
  }

  /** Subject of a host's feed. `*` stands for all hosts. */
  feed(host: HostName | '*'): string {
    return `${this.vms}.feed.${host}`;
  }

  /** The host of a feed's subject. */
  hostOfFeed(subject: string): HostName | undefined {
    const host = subject.slice(this.vms.length + '.feed.'.length);
    return isHostName(host) ? host : undefined;
  }
}

/** Key of a VM on a host. `*` stands for all VMs. */
export function vmKey(uuid: Uuid | '*', host: HostName): string {
  return `vm.${uuid}.${host}`;
}

/** Key of the host's own entry. */
export function hostKey(host: HostName): string {
  return `host.${host}`;
}

/** Key of the names of the other hosts that a host knows. */
export function peersKey(host: HostName): string {
  return `peers.${host}`;
}

/** Returns the UUID and the host in a key; undefined for a key that no bridge writes. */
export function parseVmKey(key: string): { uuid: Uuid; host: HostName } | undefined {
  const [kind, text = '', host = '', ...more] = key.split('.');
  if (kind !== 'vm' || more.length > 0 || !isHostName(host)) return undefined;
  const uuid = uuidOrUndefined(text);
  return uuid === undefined || uuid !== text || namesNoVm(uuid) ? undefined : { uuid, host };
}

/** Returns the kind and the host of a key in the bucket of hosts; undefined for a key that no bridge writes. */
export function parseHostKey(key: string): { kind: 'host' | 'peers'; host: HostName } | undefined {
  const [kind, host = '', ...more] = key.split('.');
  if ((kind !== 'host' && kind !== 'peers') || more.length > 0 || !isHostName(host))
    return undefined;
  return { kind, host };
}

function uuidOrUndefined(text: string): Uuid | undefined {
  // parseUuid throws, which costs more than this check.
  if (text.length !== 36) return undefined;
  try {
    return parseUuid(text);
  } catch {
    return undefined;
  }
}
