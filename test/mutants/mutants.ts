/** Mistakes that could be made, one place each, and the tests that are to notice. */
import type { Patch } from './patched-build.ts';

export interface Mutant extends Patch {
  /** Below `dist/test`. */
  readonly tests: readonly string[];
}

interface Room {
  readonly file: string;
  readonly tests: readonly string[];
  /** What it comes to, what stands there, and what is to. */
  readonly mutants: readonly (readonly [name: string, text: string, without: string])[];
}

const ROOMS: readonly Room[] = [
  {
    file: 'hypervisor/xen-hypervisor.js',
    tests: ['hypervisor'],
    mutants: [
      [
        'an absent domain is an error',
        "if (result === -ESRCH)\n        return undefined;\n    if (result < 0)\n        throw hypercallError('XEN_DOMCTL_getdomaininfo'",
        "if (result < 0)\n        throw hypercallError('XEN_DOMCTL_getdomaininfo'",
      ],
      [
        'a list that failed is taken for an empty one',
        "if (result < 0)\n                throw hypercallError('XEN_SYSCTL_getdomaininfolist', -result);",
        '',
      ],
      [
        'a list of more domains than can be is believed',
        'if (count <= DOMID_FIRST_RESERVED)',
        'if (count >= 0)',
      ],
      ['a list outlives its visitor', 'domains.revoke();', ''],
      [
        'the list asks for one domain fewer than there can be',
        'SysctlOffset.maxDomains, DOMID_FIRST_RESERVED, true',
        'SysctlOffset.maxDomains, DOMID_FIRST_RESERVED - 1, true',
      ],
      [
        'closing does not wait for the list',
        'Promise.all([this.#lists, this.#asyncLooks])',
        'Promise.all([this.#asyncLooks])',
      ],
      [
        'looks off the event loop do not take turns',
        'this.#asyncLooks = look.catch(() => undefined);',
        '',
      ],
    ],
  },
  {
    file: 'hypervisor/dominfo.js',
    tests: ['hypervisor'],
    mutants: [
      [
        'a record is read though its memory was given back',
        'if (this.#record === REVOKED)',
        'if (this.#record === undefined)',
      ],
      [
        'the high half of a 64-bit number is left out',
        'view.getUint32(offset + 4, true) * 2 ** 32 + ',
        '',
      ],
      [
        'paused is read for blocked',
        'blocked: (flags & DominfFlag.BLOCKED) !== 0',
        'blocked: (flags & DominfFlag.PAUSED) !== 0',
      ],
    ],
  },
  {
    file: 'hypervisor/probe.js',
    tests: ['hypervisor'],
    mutants: [
      ['any refusal is a wrong version', 'if (answer !== -EACCES)', 'if (answer === 0)'],
      [
        'a release that is not known is taken for one that denies',
        'if (isSupported(xen) && (sysctl',
        'if ((sysctl',
      ],
    ],
  },
  {
    file: 'xenstore/wire.js',
    tests: ['xenstore/wire', 'fuzz'],
    mutants: [
      [
        'a header alone is no message',
        '} while (bytes.length - at >= HEADER_BYTES);',
        '} while (bytes.length - at > HEADER_BYTES);',
      ],
      [
        'a message as long as may be is refused',
        'if (length > this.#payloadMax)',
        'if (length >= this.#payloadMax)',
      ],
      ['a stream that made no sense is read on', 'this.#failure = error;', ''],
      [
        'what is carried is delivered again',
        'this.#carried = 0;\n            this.#deliver',
        'this.#deliver',
      ],
      [
        'a buffer that was handed on is written to again',
        'this.#start = this.#end;',
        'this.#start = this.#end = 0;',
      ],
      [
        'a string is measured in characters',
        "length = this.#buffer.write(payload, body, 'utf8')",
        "this.#buffer.write(payload, body, 'utf8'), (length = payload.length)",
      ],
      [
        'the carry buffer stays as big as it ever was',
        'if (this.#carry.length > CARRY_KEPT_BYTES)',
        'if (this.#carry.length < 0)',
      ],
    ],
  },
  {
    file: 'inventory/lookups.js',
    tests: [
      'inventory/look-under-way',
      'inventory/lookup',
      'inventory/hints',
      'inventory/field-failures',
      'inventory/scenarios',
      'oracle/oracle.test',
    ],
    mutants: [
      [
        'a look-up has no deadline',
        'const timer = setTimeout(() => answer(TIMEOUT), timeoutMs);',
        'const timer = undefined;',
      ],
      [
        'a signal is not listened to',
        "signal?.addEventListener('abort', onAbort);\n            const shown",
        'const shown',
      ],
      [
        'a guess takes a dying domain',
        'if (domain.uuid !== uuid || domain.dying)',
        'if (domain.uuid !== uuid)',
      ],
      [
        'of several holders the first is picked',
        'if (second === undefined)',
        'if (first !== undefined)',
      ],
      [
        'what was shown to someone before he asked answers him',
        'if (since < began)',
        'if (began > 0)',
      ],
      [
        'a list that leaves a UUID in doubt says that it is not there',
        ' || doubtfulUuids.has(uuid))',
        ')',
      ],
      [
        'what had to make room is not there',
        "return census.recall(uuid) ? 'look' : NOT_FOUND;",
        'return NOT_FOUND;',
      ],
    ],
  },
  {
    file: 'inventory/looks.js',
    tests: ['inventory/looks'],
    mutants: [
      ['every look is timed', 'this.#untimed = TIMED_EVERY - 1;', ''],
      ['no look after the first is timed', 'this.#untimed--;\n            return', 'return'],
      ['one slow look is a stall', 'if (this.#slow >= SLOW_LOOKS)', 'if (this.#slow >= 1)'],
      [
        'slow looks need not be in a row',
        'this.#slow = 0;\n        this.#stalledUntil = 0;',
        'this.#stalledUntil = 0;',
      ],
      [
        'a stall never ends by itself',
        'this.#stalledUntil > 0 && performance.now() < this.#stalledUntil',
        'this.#stalledUntil > 0',
      ],
      [
        'a look off the event loop that was quick ends no stall',
        'this.durations.record(durationMs);\n            if (durationMs <= SLOW_MS)\n                this.#endStall();',
        'this.durations.record(durationMs);',
      ],
      [
        'looks off the event loop are not counted',
        'this.count++;\n        const asked',
        'const asked',
      ],
      [
        'what a look off the event loop waited for its turn is its own',
        'Math.max(asked, this.#asyncEnded)',
        'asked',
      ],
      [
        'a domain that is hidden is an error',
        'error instanceof XenError && error.code === ErrorCode.XSM_DENIED',
        'false',
      ],
    ],
  },
  {
    file: 'inventory/lists.js',
    tests: ['inventory/lists', 'inventory/event-lists', 'oracle/oracle.test'],
    mutants: [
      [
        'lists for misses take all the time',
        'this.#nextMiss = performance.now() + this.costMs * (1 / MISS_SHARE - 1);',
        '',
      ],
      [
        'two lists run at once',
        'if (this.#running !== undefined || this.#closed || this.#queued.due.size === 0)\n            return;\n        const { due',
        'if (this.#closed || this.#queued.due.size === 0)\n            return;\n        const { due',
      ],
      ['those who wait are not told of a failure', 'waiter.fail(result.error);', 'void waiter;'],
      ['a list that nobody waits for is made all the same', "queued.due.delete('miss');", ''],
      ['a failure ends no list', 'this.failed++;\n            census.endList();', 'this.failed++;'],
    ],
  },
  {
    file: 'inventory/census.js',
    tests: [
      'inventory/difference',
      'inventory/awaiting',
      'inventory/look-under-way',
      'inventory/looks',
      'inventory/subscription',
      'inventory/scenarios',
      'oracle/oracle.test',
    ],
    mutants: [
      [
        'a look that comes back late is believed',
        'while (this.#isOvertaken(domid, info))',
        'while (false)',
      ],
      [
        'who is dying stays awaited',
        'if (info === undefined || info.dying)\n            this.awaiting.delete(domid);',
        '',
      ],
      [
        'domains that a list leaves out live on',
        'this.#apply(domid, undefined);\n        }\n        if (this.awaiting',
        'void 0;\n        }\n        if (this.awaiting',
      ],
      [
        'the end of a holder leaves it in the map',
        'this.holders.remove(held, domid);',
        'void domid;',
      ],
      [
        'a unique id that differs is the same domain',
        'return known.uniqueId === domain.uniqueId;',
        'return true;',
      ],
    ],
  },
  {
    file: 'inventory/difference.js',
    tests: ['inventory/difference', 'inventory/conflate', 'oracle/oracle.test'],
    mutants: [
      ['a second shutdown reason is no news', ' || known.shutdownReason !== shutdownReason)', ')'],
      [
        'a dying domain that is another dies',
        'if (known.uuid !== uuid && (known.dying || !same))',
        'if (false)',
      ],
    ],
  },
  {
    file: 'inventory/feed.js',
    tests: ['inventory/subscription', 'oracle/oracle.test'],
    mutants: [
      ['a token of another life is believed', 'epoch === this.#epoch && ', ''],
      ['a token of the future is believed', ' && revision <= this.#revision', ''],
      [
        'what is not kept any more is given',
        'if (revision < this.#revision - this.#kept.length)',
        'if (revision < this.#revision - this.#kept.length - 1)',
      ],
      ['who waits is not woken', 'this.#tell();\n        this.#wake();', 'this.#tell();'],
    ],
  },
  {
    file: 'inventory/holders.js',
    tests: ['inventory/holders', 'oracle/oracle.test'],
    mutants: [
      ['what made room is forgotten', "if (reason === 'evict')", "if (reason === 'set')"],
      [
        'a holder that is back stays among those that made room',
        'this.#evicted.delete(uuid);\n        if (!domids',
        'if (!domids',
      ],
    ],
  },
  {
    file: 'inventory/next-domid.js',
    tests: ['inventory/next-domid', 'inventory/guess'],
    mutants: [
      [
        'after the last domid comes none',
        'return domid >= GUEST_DOMIDS ? 1 : domid + 1;',
        'return domid + 1;',
      ],
      [
        'a new domain somewhere else is as expected',
        'distance(newest, nearest) <= GUESS_LOOKS &&',
        'true ||',
      ],
    ],
  },
  {
    file: 'inventory/event-lists.js',
    tests: ['inventory/event-lists', 'oracle/oracle.test'],
    mutants: [
      [
        'a list that failed is not made again',
        'this.#lists.want(retry, performance.now() + retryMs);',
        '',
      ],
      ['events on credit are never paid', 'if (this.#credit >= most)', 'if (false)'],
      [
        'a guess that fails answers the event',
        'it is made.\n            this.wantList();',
        'it is made.',
      ],
    ],
  },
  {
    file: 'inventory/mirror.js',
    tests: ['inventory/mirror', 'inventory/lists', 'oracle/oracle.test'],
    mutants: [
      [
        'a list without order is taken for a whole one',
        'return order >= 0 && previous < DOMID_FIRST_RESERVED;',
        'return true;',
      ],
      [
        'the last word of a handle is not compared',
        ' ||\n            rows[row + 4] !== words[handle + 3]',
        '',
      ],
      [
        'a domid that stands twice is read twice',
        'if (domid >= DOMID_FIRST_RESERVED || isListed[domid] === 1)',
        'if (domid >= DOMID_FIRST_RESERVED)',
      ],
    ],
  },
  {
    file: 'inventory/zombies.js',
    tests: ['inventory/zombies'],
    mutants: [
      [
        'a zombie is looked at once',
        'await this.#lookAt(due);\n        this.#schedule();',
        'await this.#lookAt(due);',
      ],
      [
        'a zombie is looked at ever as often',
        'const waitMs = Math.max(SHORTEST_MS, LATE_PART * (now - zombie.since));',
        'const waitMs = SHORTEST_MS;',
      ],
    ],
  },
  {
    file: 'inventory/handle.js',
    tests: ['inventory/handle'],
    mutants: [
      [
        'the tombstone of another domain is one',
        'info.handleWord(3) === (((domid & 0xff) << 24) | ((domid >>> 8) << 16))',
        '(info.handleWord(3) & 0xffff) === 0 && domid >= 0',
      ],
    ],
  },
  {
    file: 'inventory/hints.js',
    tests: ['inventory/hints'],
    mutants: [
      ['a hint that is no domid is looked at', '!/^\\d{1,5}$/.test(name) || ', ''],
      ['a xenstore that does not answer is asked on', ' || xenstore.oldestPendingMs > SLOW_MS', ''],
      [
        'a hint is believed',
        'if (domain === undefined || domain.uuid !== uuid || domain.dying)',
        'if (domain === undefined)',
      ],
    ],
  },
  {
    file: 'service/connections/line-reader.js',
    tests: ['service/protocol', 'service/hostile', 'fuzz'],
    mutants: [
      [
        'a line of any length is kept',
        'if (length - newline - cr > LINE_BYTES_MAX)',
        'if (length < 0)',
      ],
      ['what is not UTF-8 is read', 'return isUtf8(bytes) ?', 'return bytes.length > 0 ?'],
    ],
  },
  {
    file: 'service/connections/line-server.js',
    tests: ['service/hostile', 'service/http', 'service/protocol'],
    mutants: [
      [
        'there may be any number of connections',
        'const isFull = this.#shares.isFull(uid)',
        'const isFull = false',
      ],
      [
        'one who waits for an answer makes room for another',
        'connection?.idle === false',
        'connection === null',
      ],
      [
        'any amount is kept for all together',
        '.filter((candidate) => candidate.bytes > 0)',
        '.filter(() => false)',
      ],
      [
        'the least burden goes first',
        'burdenOf(other) - burdenOf(one)',
        'burdenOf(one) - burdenOf(other)',
      ],
      [
        'what grows in a moment is looked at when a timer fires',
        'if (wasDue || this.#growth < memoryBytes * GROWTH_SHARE)',
        'if (memoryBytes > 0)',
      ],
    ],
  },
  {
    file: 'service/connections/last-words.js',
    tests: ['service/turned-away', 'service/http'],
    mutants: [
      ['what begins with a letter is a line', 'byte >= 0x41 && byte <= 0x5a', 'byte > 0xff'],
      ['a refused client is cut off', 'halfClose(socket);', 'socket.destroy();'],
    ],
  },
  {
    file: 'service/connections/shares.js',
    tests: ['service/turned-away'],
    mutants: [
      ['a user may have all connections', 'this.#connections / 2', 'this.#connections'],
      ['none is kept for root', 'Math.min(FOR_ROOT, Math.floor(this.#connections / 8))', '0'],
    ],
  },
  {
    file: 'service/memory.js',
    tests: ['service/hostile'],
    mutants: [
      ['a list counts for each who reads it', 'shared / (users.get(of) ?? 1)', 'shared'],
      [
        'requests that wait take nothing',
        'return REQUEST_BYTES * requests + BYTES_A_BYTE * bytes',
        'return 0',
      ],
    ],
  },
  {
    file: 'service/connections/subscribers.js',
    tests: ['service/subscribe'],
    mutants: [
      ['who does not read stays for ever', 'now - behindSince <= behindMs', 'now > 0'],
      [
        'changes while others are served wait for the next',
        'if (this.#again && this.#subscribers.size > 0)\n            this.#due();',
        '',
      ],
      [
        'who subscribes with a token is told what it has',
        "return batch.kind === 'changes' ? { token: token ?? batch.token } : batch;",
        "return batch.kind === 'changes' ? { token: batch.token } : batch;",
      ],
    ],
  },
  {
    file: 'service/answers/methods.js',
    tests: ['service/protocol', 'service/fuzz'],
    mutants: [
      [
        'a subscription that is not there is ended',
        '=== true\n        ? ',
        '!== undefined\n        ? ',
      ],
      ['HTTP may subscribe', 'if (session === undefined) {', 'if (session === null) {'],
    ],
  },
  {
    file: 'service/answers/shared-calls.js',
    tests: ['service/lists'],
    mutants: [
      ['a list is made for a client that has gone', 'askers.every((isGone) => isGone())', 'false'],
      ['lists take all of the time', 'return Math.max(0, this.#notBefore - now)', 'return 0'],
    ],
  },
  {
    file: 'service/answers/request-id.js',
    tests: ['service/protocol'],
    mutants: [
      [
        'an id that is not kept exactly is told back',
        'if (Number.isInteger(id) && !Number.isSafeInteger(id))',
        'if (id === 0.5)',
      ],
      ['an id that was rounded is told back', 'decimalOf(written) === decimalOf(json)', 'true'],
    ],
  },
  {
    file: 'service/answers/dispatcher.js',
    tests: ['service/protocol', 'service/fuzz'],
    mutants: [
      [
        'a batch of any size is answered',
        'if (messages.length > BATCH_MAX)',
        'if (messages.length < 0)',
      ],
      [
        'a notification is answered',
        'return undefined;\n        }\n        if (method === undefined)',
        '}\n        if (method === undefined)',
      ],
    ],
  },
  {
    file: 'service/http/http.js',
    tests: ['service/http', 'service/hostile'],
    mutants: [
      [
        'a form of a web page may ask',
        'if (!JSON_TYPES.has(type?.trim().toLowerCase()))',
        "if (type === 'x')",
      ],
      ['a request may have two hosts', 'hasTwoHosts(request)', 'false'],
      ['every body is continued to', 'if (expectsContinue(request))', 'if (false)'],
    ],
  },
  {
    file: 'service/http/exchange.js',
    tests: ['service/http', 'service/hostile'],
    mutants: [
      ['a body may be longer than it says', 'if (length > LINE_BYTES_MAX)', 'if (length < 0)'],
      ['a paused connection is not read on', 'resumeHttp(this.#socket)', ''],
    ],
  },
  {
    file: 'service/http/scrapers.js',
    tests: ['service/http'],
    mutants: [['a silent scraper keeps its place', '!this.#makeRoom()', 'true']],
  },
  {
    file: 'service/system/socket-claim.js',
    tests: ['service/socket'],
    mutants: [
      ["another's socket is replaced", 'if (found.uid !== uid)', 'if (found.uid === -1)'],
      ['a socket that answers is replaced', 'if (await answers(path))', 'if (false)'],
      ['a file in the way is replaced', 'if (!found.isSocket())', 'if (false)'],
      ["a later daemon's socket is removed", 'found.ino === claimed.ino', 'found.ino !== 0'],
    ],
  },
];

export const MUTANTS: readonly Mutant[] = ROOMS.flatMap(({ file, tests, mutants }) =>
  mutants.map(([name, text, without]) => ({ name, file, text, without, tests })),
);
