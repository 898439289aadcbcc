/** Questions of clients, each with its judge. */
import { DOMID_FIRST_RESERVED } from '../../src/domain.ts';
import { namesNoVm } from '../../src/vm-uuid.ts';
import type { Uuid } from '../../src/uuid.ts';
import { WAIT_STATES } from '../../src/waiting.ts';
import { uuidOf } from '../support/vms.ts';
import type { Asked, ReplyJudge, Reply } from './reply-judge.ts';
import type { ClientOptions } from './scene.ts';
import { POOL } from './world.ts';

export interface Question {
  readonly method: string;
  readonly params: object;
  judge(judge: ReplyJudge, asked: Asked, reply: Reply): void;
}

/** No domain ever has it. */
const UNKNOWN = uuidOf(0xffffff);
const MANY = 12;
const WAIT_MS = 1000;

/** Mostly the UUID of an existing domain: a UUID without a domain costs a list, and lists may use a fifth of the time. */
function anyUuid({ scene, random }: ClientOptions): Uuid {
  if (random.chance(0.002)) return UNKNOWN;
  if (random.chance(0.02)) return random.pick(POOL);
  const { uuid } = scene.world.domain(random) ?? { uuid: UNKNOWN };
  return namesNoVm(uuid) ? UNKNOWN : uuid;
}

export function anyQuestion(options: ClientOptions): Question {
  const { random } = options;
  const what = random.next();
  if (what < 0.5) return lookupOf('domid', anyUuid(options));
  if (what < 0.8) return lookupOf('lookup', anyUuid(options));
  if (what < 0.9) return getOf(options);
  if (what < 0.98) {
    return manyOf(Array.from({ length: random.below(MANY) }, () => anyUuid(options)));
  }
  return listOf(random.chance(0.3));
}

export function lookupOf(method: 'lookup' | 'domid', uuid: string): Question {
  return {
    method,
    params: { uuid },
    judge: (judge, asked, reply) => judge.lookup(uuid, asked, reply),
  };
}

export function listOf(names: boolean): Question {
  return {
    method: 'list',
    params: names ? { names } : {},
    judge: (judge, asked, reply) => judge.list(asked, reply),
  };
}

/** Mostly a VM that comes and goes. The time is short: no client may be in a turn while the host rests. */
export function anyWait({ random }: ClientOptions): Question {
  const uuid = random.chance(0.05) ? UNKNOWN : random.pick(POOL);
  const wait = { state: random.pick(WAIT_STATES), timeoutMs: 1 + random.below(WAIT_MS) };
  return {
    method: 'waitFor',
    params: { uuid, ...wait },
    judge: (judge, asked, reply) => judge.wait(uuid, wait, asked, reply),
  };
}

function manyOf(uuids: readonly string[]): Question {
  return {
    method: 'lookupMany',
    params: { uuids },
    judge: (judge, asked, reply) => judge.lookupMany(uuids, asked, reply),
  };
}

function getOf({ scene, random }: ClientOptions): Question {
  const known = scene.world.domain(random)?.domid ?? 0;
  // One past the last domid is invalid.
  const domid = (known + (random.chance(0.3) ? 1 : 0)) % DOMID_FIRST_RESERVED;
  return {
    method: 'get',
    params: { domid },
    judge: (judge, asked, reply) => judge.get(domid, asked, reply),
  };
}
