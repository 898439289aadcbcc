/** Mistakes that could be made, one place each, and the tests that are to notice. */
import type { Patch } from './patched-build.ts';

export interface Mutant extends Patch {
  /** Below `dist/test`. */
  readonly tests: readonly string[];
}

interface Room {
  readonly file: string;
  readonly tests: readonly string[];
  /** Name of the mistake, text in the file, and its replacement. */
  readonly mutants: readonly (readonly [name: string, text: string, without: string])[];
}

const ROOMS: readonly Room[] = [
  {
    file: 'hypervisor/xen-hypervisor.js',
    tests: ['hypervisor/xen-hypervisor'],
    mutants: [
      [
        'an absent domain is an error',
        "if (result === -ESRCH)\n            return undefined;\n        if (result < 0)\n            throw hypercallError('XEN_DOMCTL_getdomaininfo'",
        "if (result < 0)\n            throw hypercallError('XEN_DOMCTL_getdomaininfo'",
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
        'this.#writeSysctl(this.#listOperation.view, 0, DOMID_FIRST_RESERVED,',
        'this.#writeSysctl(this.#listOperation.view, 0, DOMID_FIRST_RESERVED - 1,',
      ],
      [
        'closing does not wait for the list',
        'this.#closed ??= this.#lists.then(',
        'this.#closed ??= Promise.resolve().then(',
      ],
      [
        'the domid that a list operation echoes is not compared',
        'return isThere && this.#sysctlInfo.domid === domid ?',
        'return isThere ?',
      ],
      [
        'an empty list shows the domain of the one before',
        'return isThere && this.#sysctlInfo.domid',
        'return this.#sysctlInfo.domid',
      ],
      [
        'a look by list operation has room for all',
        'this.#writeSysctl(this.#single.view, Slot.sysctl, 1,',
        'this.#writeSysctl(this.#single.view, Slot.sysctl, DOMID_FIRST_RESERVED,',
      ],
      [
        'a look by list operation writes its domid once',
        'view.setUint16(Slot.sysctl + SysctlOffset.firstDomain, domid, true);\n            result',
        'if (tries === 0) view.setUint16(Slot.sysctl + SysctlOffset.firstDomain, domid, true);\n            result',
      ],
      [
        'a slow domctl is never avoided',
        'return this.#slowDomctl.isAvoided ? this.#lookBySysctl(domid) : this.#lookByDomctl(domid);',
        'return this.#lookByDomctl(domid);',
      ],
      ['a record by list operation can be read after close', 'this.#sysctlInfo.revoke();', ''],
      [
        'a unique id that is denied later is an error',
        'if (result === -ESRCH || isDenied(result))',
        'if (result === -ESRCH)',
      ],
      [
        'a unique id is asked for where it is denied',
        "if (this.version.uniqueIds !== 'yes')",
        "if (this.version.uniqueIds === 'no')",
      ],
      [
        'a look is given up at the first EFAULT',
        'tries < EFAULT_TRIES; tries++) {\n            view.setUint16(Slot.domctl',
        'tries < 1; tries++) {\n            view.setUint16(Slot.domctl',
      ],
      [
        'a list is given up at the first EFAULT',
        'tries < EFAULT_TRIES; tries++) {\n                //',
        'tries < 1; tries++) {\n                //',
      ],
      [
        'a unique id is given up at the first EFAULT',
        'tries < EFAULT_TRIES; tries++) {\n            result = this.#xencall.call(Hypercall.domctl, this.#writeDomainState',
        'tries < 1; tries++) {\n            result = this.#xencall.call(Hypercall.domctl, this.#writeDomainState',
      ],
      [
        'the operation for a unique id keeps the last answer',
        'view.setUint32(Slot.state + offset, 0);',
        'void offset;',
      ],
      [
        'the library is closed twice',
        'this.#closed ??= this.#lists.then(() => {',
        'this.#closed = this.#lists.then(() => {',
      ],
      [
        'a list that was asked for before close is made after it',
        'this.#checkOpen();\n            const { address } = this.#listOperation;',
        'const { address } = this.#listOperation;',
      ],
      [
        'a visitor that throws stops the next list',
        'this.#lists = list.catch(() => undefined);',
        'this.#lists = list;',
      ],
      [
        'a look after close reads freed memory',
        'getDomainInfo(domid) {\n        this.#checkOpen();',
        'getDomainInfo(domid) {',
      ],
      [
        'a unique id has 32 bits',
        'view.getBigUint64(Slot.state + DomainStateOffset.uniqueId, true)',
        'view.getUint32(Slot.state + DomainStateOffset.uniqueId, true)',
      ],
    ],
  },
  {
    file: 'hypervisor/slow-domctl.js',
    tests: ['hypervisor/slow-domctl'],
    mutants: [
      ['every domctl is timed', 'this.#untimed = TIMED_EVERY - 1;', ''],
      [
        'no domctl after the first is timed',
        'if (this.#untimed === 0)\n            return performance.now();\n        this.#untimed--;',
        'if (this.#untimed === 0)\n            return performance.now();',
      ],
      ['one slow domctl is enough', 'if (this.#slow < SLOW_CALLS)', 'if (this.#slow < 1)'],
      [
        'slow domctls need not be in a row',
        'this.#slow = 0;\n            this.#avoidedUntil',
        'this.#avoidedUntil',
      ],
      [
        'the domctl is never tried again',
        'this.#avoidedUntil > 0 && performance.now() < this.#avoidedUntil',
        'this.#avoidedUntil > 0',
      ],
      [
        'the domctl is tried ever as often',
        'this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MAX_MS);',
        '',
      ],
      [
        'the wait stays long after a quick domctl',
        'this.#retryMs = RETRY_FIRST_MS;\n            this.#untimed',
        'this.#untimed',
      ],
      [
        'the wait for the next domctl has no upper bound',
        'Math.min(2 * this.#retryMs, RETRY_MAX_MS)',
        '2 * this.#retryMs',
      ],
    ],
  },
  {
    file: 'hypervisor/devices.js',
    tests: ['hypervisor/devices'],
    mutants: [
      [
        'a full table of descriptors is a missing device',
        'if (usable === -1 && limited !== undefined)',
        'if (limited === null)',
      ],
      [
        'a hypercall device that cannot be opened is passed over',
        "errno !== undefined && errno !== 'ENOENT'",
        "errno === ''",
      ],
      [
        'a denied device after a usable one is an error',
        '(usable === -1 || denied < usable)',
        '(usable !== -2)',
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
      [
        'the last word of a handle is not compared',
        ' &&\n            view.getInt32(handle + 12, true) === words.w3',
        '',
      ],
      [
        'a list can be read one record beyond its end',
        'index >= 0 && index < this.#length',
        'index >= 0 && index <= this.#length',
      ],
      [
        'the copy of a list lacks its last domain',
        'new Uint8Array(buffer, byteOffset, this.bytes)',
        'new Uint8Array(buffer, byteOffset, this.bytes - this.recordBytes)',
      ],
      [
        'a list is copied after its visitor has returned',
        'throw staleView();\n        return this.#length * this.recordBytes;',
        'return 0;\n        return this.#length * this.recordBytes;',
      ],
      [
        'the maximum memory is the present memory',
        'readUint64(view, record + Offset.maxPages)',
        'readUint64(view, record + Offset.totPages)',
      ],
      [
        'a domain that runs has a shutdown reason',
        'if (shutdown)\n            domain.shutdownReason',
        'if (flags !== -1)\n            domain.shutdownReason',
      ],
    ],
  },
  {
    file: 'hypervisor/probe.js',
    tests: ['hypervisor/probe'],
    mutants: [
      ['any refusal is a wrong version', 'if (answer !== -EACCES)', 'if (answer === 0)'],
      [
        'a release that is not known is taken for one that denies',
        'if (isSupported(xen) && (sysctl',
        'if ((sysctl',
      ],
      [
        'a host without domain 0 is not known',
        'if (answer >= 0 || answer === -ESRCH)',
        'if (answer >= 0)',
      ],
      [
        'an operation that is denied is taken for one that works',
        "'denied' : 'yes'",
        "'yes' : 'yes'",
      ],
      [
        'the oldest version is tried first',
        'toSorted((a, b) => b - a)',
        'toSorted((a, b) => a - b)',
      ],
      [
        'the newest release is unknown',
        'minorOf(release) <= minorOf(NEWEST_RELEASE)',
        'minorOf(release) < minorOf(NEWEST_RELEASE)',
      ],
      [
        'the oldest release is unknown',
        'minorOf(release) >= minorOf(OLDEST_RELEASE)',
        'minorOf(release) > minorOf(OLDEST_RELEASE)',
      ],
      [
        'two versions of different releases are accepted',
        'known.sysctl === sysctl && known.domctl === domctl',
        'known.domctl === domctl',
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
      [
        'the longest event is refused',
        'length > XENSTORE_PAYLOAD_MAX && view',
        'length >= XENSTORE_PAYLOAD_MAX && view',
      ],
      ['the last NUL belongs to the rest', 'rest: end + 1', 'rest: end'],
    ],
  },
  {
    file: 'inventory/lookups.js',
    tests: [
      'inventory/witnesses',
      'inventory/lookup-options',
      'inventory/lookup',
      'inventory/hints',
      'inventory/field-failures',
      'oracle/oracle.test',
    ],
    mutants: [
      [
        'a look-up has no deadline',
        'onTimeout: () => pending.answer(TIMEOUT),',
        'onTimeout: () => undefined,',
      ],
      [
        'a signal is not listened to',
        'onAborted: (reason) => pending.abort(reason),',
        'onAborted: () => undefined,',
      ],
      ['the limits of a look-up outlive it', 'stopLimits();\n            leave();', 'leave();'],
      [
        'an aborted signal is no matter where the UUID is known',
        'checkCall(options);\n        const { timeoutMs = DEFAULT_TIMEOUT_MS, signal } = options;\n        if',
        'const { timeoutMs = DEFAULT_TIMEOUT_MS, signal } = options;\n        if',
      ],
      [
        'an aborted signal is no matter for many UUIDs',
        'checkCall(options);\n        const { timeoutMs = DEFAULT_TIMEOUT_MS, signal } = options;\n        const',
        'const { timeoutMs = DEFAULT_TIMEOUT_MS, signal } = options;\n        const',
      ],
      ['a lookupMany goes on after close', 'if (this.#isClosed)\n                    break;', ''],
      [
        'each of many has the whole time',
        'const leftMs = Math.max(LEAST_MS, deadline - performance.now());',
        'const leftMs = timeoutMs;',
      ],
      [
        'many are looked up in one go',
        'if (results.length % CLOCK_EVERY === 0 && performance.now() > sliceEnds)',
        'if (results.length < 0)',
      ],
      ['close leaves look-ups pending', 'this.#waiters.answerAll(unavailable(closedError()));', ''],
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
        'a hit counts though its domain has died meanwhile',
        'return domain?.uuid === holder.uuid && !domain.dying',
        'return domain?.uuid === holder.uuid',
      ],
      [
        'a hit counts though another domain is there by then',
        'return domain?.uuid === holder.uuid && !domain.dying',
        'return domain !== undefined && !domain.dying',
      ],
      [
        'a look-up of many that is aborted leaves a rejection',
        'result.catch(() => undefined);',
        'void result;',
      ],
      [
        'a holder that came during the look-up waits for the list',
        'if (this.#census.holders.of(uuid).length > 0)\n            this',
        "if (uuid === '')\n            this",
      ],
    ],
  },
  {
    file: 'inventory/pending-lookup.js',
    tests: ['inventory/pending-lookup', 'inventory/witnesses', 'oracle/oracle.test'],
    mutants: [
      [
        'a holder that was gone proves that there is none',
        'if (shown.has(this.#uuid))',
        'if (false)',
      ],
      [
        'a look-up that was answered keeps its list',
        'this.#over = true;\n        this.#leaveList();',
        'this.#over = true;',
      ],
      [
        'a look-up that has ended waits for another list',
        'if (this.#over)\n            return;\n        // A holder',
        '// A holder',
      ],
    ],
  },
  {
    file: 'inventory/waiters.js',
    tests: ['inventory/waiters'],
    mutants: [
      [
        'a UUID is kept when nobody waits for it any more',
        'this.#waiters.delete(uuid);',
        'void uuid;',
      ],
      ['a look-up that left is answered', 'waiters.delete(waiter);\n', '\n'],
    ],
  },
  {
    file: 'inventory/limits.js',
    tests: ['inventory/lookup-options'],
    mutants: [
      ['a listener stays on the signal', 'stopTimer();\n        stopListening();', 'stopTimer();'],
      [
        'the deadline of a call outlives it',
        'stopTimer();\n        stopListening();',
        'stopListening();',
      ],
    ],
  },
  {
    file: 'timeout.js',
    tests: ['timeout'],
    mutants: [
      [
        'a long time is 1 ms',
        'if (ms > TIMER_MAX_MS)\n        return () => undefined;\n    const timer = setTimeout',
        'const timer = setTimeout',
      ],
      ['NaN is a time', "typeof ms === 'number' && ms > 0", "typeof ms === 'number' && !(ms <= 0)"],
      [
        'a list for ever is one on end',
        'if (ms > TIMER_MAX_MS)\n        return () => undefined;\n    const timer = setInterval',
        'const timer = setInterval',
      ],
      ['a timer is not stopped', 'return () => clearTimeout(timer);', 'return () => undefined;'],
      [
        'an interval is not stopped',
        'return () => clearInterval(timer);',
        'return () => undefined;',
      ],
    ],
  },
  {
    file: 'inventory/looks.js',
    tests: ['inventory/looks'],
    mutants: [
      ['every look is timed', 'if (++this.count % TIMED_EVERY !== 0)', 'if (++this.count < 0)'],
      [
        'a timed look stands for itself',
        'this.durations.record(performance.now() - began, TIMED_EVERY);',
        'this.durations.record(performance.now() - began);',
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
    tests: ['inventory/lists', 'oracle/oracle.test'],
    mutants: [
      [
        'lists for misses take all the time',
        'this.#nextAsked = performance.now() + this.costMs * (1 / ASKED_SHARE - 1);',
        '',
      ],
      ["clients' lists are not spaced", "this.delay('list', this.#nextAsked);", ''],
      [
        'a caller that asked while a list ran does not wait for the spacing',
        "this.delay('miss', this.#nextAsked);",
        '',
      ],
      [
        'two lists run at once',
        'if (this.#running !== undefined || this.#closed || this.#queued.due.size === 0)\n            return;\n        const queued',
        'if (this.#closed || this.#queued.due.size === 0)\n            return;\n        const queued',
      ],
      ['callers are not told of a failure', 'waiter.failed(taken.error);', 'void waiter;'],
      ['a list that nobody waits for is made all the same', 'due.delete(reason);', ''],
      [
        'a waiter that throws stops the lists',
        'catch (error) {\n        waiter.failed(asXenError(error));\n    }',
        'catch (error) {\n        throw error;\n    }',
      ],
      [
        'an error of another class stops the lists',
        'return { error: asXenError(error) };',
        'if (!("code" in error)) throw error;\n            return { error };',
      ],
      [
        'closing leaves callers of a snapshot pending',
        'for (const waiter of [...miss, ...list])',
        'for (const waiter of miss)',
      ],
      ['closing does not wait for the list that runs', 'await this.#running;', ''],
      [
        'a list costs the most of the last three',
        'Math.min(...this.#durationsMs)',
        'Math.max(...this.#durationsMs)',
      ],
      [
        'one caller that leaves takes the list from the others',
        'others.size > 0 || due !== this',
        'due !== this',
      ],
      [
        'a caller that leaves takes the reason from the list that runs',
        ' || due !== this.#queued.due)',
        ')',
      ],
      [
        'the timer of a list outlives close',
        'this.#closed = true;\n        clearTimeout(this.#timer);',
        'this.#closed = true;',
      ],
      [
        'changes of any list that the timer takes part in are its own',
        "begun.reasons.size === 1 && begun.reasons.has('timer')",
        "begun.reasons.has('timer')",
      ],
      [
        'lists for events space lists for misses',
        'if (miss.size > 0 || list.size > 0)\n            this',
        'this',
      ],
      [
        'the cost is taken from two lists',
        'this.#durationsMs.length > COST_OF_LISTS',
        'this.#durationsMs.length >= COST_OF_LISTS',
      ],
    ],
  },
  {
    file: 'inventory/census.js',
    tests: [
      'inventory/census',
      'inventory/feed/snapshot',
      'inventory/witnesses',
      'inventory/feed/difference',
      'inventory/feed/subscription',
      'inventory/lookup',
      'oracle/oracle.test',
    ],
    mutants: [
      [
        'domains that a list leaves out live on',
        'this.#apply(domid, undefined, undefined);',
        'void 0;',
      ],
      [
        'a unique id counts whatever handle is there after it',
        'if (uniqueId !== undefined && this.#readUniqueId(domid) === uniqueId)',
        'if (uniqueId !== undefined)',
      ],
      [
        'a unique id that is read later counts for whoever is there',
        "this.look(domid, 'cache')?.uuid === uuid",
        'true',
      ],
      ['the ids of all domains are read at once', 'if (left-- === 0)', 'if (left < 0)'],
      ['a snapshot shows what became of the domains later', 'this.#told.concat()', 'this.#told'],
      [
        'a hit tells nothing of what else it shows',
        "this.#takeSingle(domid, info, domain ?? info.toDomain(), 'cache');",
        'void domain;',
      ],
      [
        'a new handle in place of another is believed at once',
        'return !this.#mirror.hasSameHandle(info);',
        'return false;',
      ],
      [
        'the first list tells of zombies',
        'if (!info.dying && !isNil(info) && !isTombstone(info))',
        'if (!isNil(info) && !isTombstone(info))',
      ],
      [
        'where there is no order of domids another UUID is a rename',
        'return this.next.inSequence && domain.cpuTimeSeconds >= told.cpuTimeSeconds;',
        'return this.next.inSequence;',
      ],
      [
        'a list that a look ran beside is believed',
        'return this.#listsAtLook[domid] === this.lists;',
        'return false;',
      ],
      [
        'a half written handle of a new domain is told',
        'return hasZeroHalf(info);',
        'return false;',
      ],
      [
        'a UUID that was shown once is shown by every list',
        'this.#shown = new Set();\n        return',
        'return',
      ],
      [
        'a new domain in place of a dying one is not identified',
        'told.dying ||\n        told.uuid !== domain.uuid',
        'told.uuid !== domain.uuid',
      ],
      [
        'a domain that runs in place of one that shut down is not identified',
        ' ||\n        (told.shutdown && !domain.shutdown)',
        '',
      ],
      [
        'a dying domain answers look-ups',
        'if (told?.dying === false && told.uuid',
        'if (told?.uuid',
      ],
      ['a dying domain is shown', 'if (!info.dying)\n                shown', 'shown'],
      ['lists do not correct the guess', 'this.next.sawListed(newcomers);', ''],
      ['a unique id is tried once', 'tries < ID_TRIES', 'tries < 1'],
      [
        'a unique id is given to the domain that came after',
        'if (uniqueId !== undefined && now?.uuid === told.uuid)',
        'if (uniqueId !== undefined)',
      ],
      [
        'the memory of a list is used again before it has been decoded',
        'this.#spare = undefined;',
        '',
      ],
    ],
  },
  {
    file: 'inventory/feed/snapshot.js',
    tests: ['inventory/feed/snapshot', 'inventory/witnesses', 'oracle/oracle.test'],
    mutants: [
      [
        'a list is decoded in one go',
        'if (domains.length % CLOCK_EVERY === 0 && performance.now() > sliceEnds)',
        'if (domains.length < 0)',
      ],
      [
        'a later look does not count',
        'const seen = looked.has(domid) ? looked.get(domid) : ',
        'const seen = ',
      ],
      [
        'a domain that was only looked at is not there',
        'for (const domid of looked.keys())',
        'for (const domid of [])',
      ],
      [
        'the list is right, not the feed',
        'const domain = known === undefined ? seen : asTold(known, seen);',
        'const domain = seen;',
      ],
      [
        'all domains are told of',
        'domains.filter(({ domid }) => this.#told[domid] !== undefined)',
        'domains',
      ],
    ],
  },
  {
    file: 'inventory/feed/difference.js',
    tests: ['inventory/feed/difference', 'inventory/feed/conflate', 'oracle/oracle.test'],
    mutants: [
      ['a second shutdown reason is no news', ' || known.shutdownReason !== shutdownReason)', ')'],
      [
        'a dying domain that is another dies',
        ' ||\n        (known.dying && known.uuid !== uuid)',
        '',
      ],
      [
        'another domain that was first seen dying is resumed or renamed',
        ' ||\n        (!same && isOther(known, { uuid, shutdown: domain.shutdown }))',
        '',
      ],
      [
        'a unique id that differs is the same domain',
        'known.uniqueId !== domain.uniqueId',
        'known === domain',
      ],
      ['a dying domain dies again', 'if (known.dying)\n        return [];', ''],
      [
        'a dying domain comes to life again',
        'if (known.dying || hasOtherId(known, domain) ||',
        'if (hasOtherId(known, domain) ||',
      ],
      ['another domain that runs is a resume', ' || (known.shutdown && !domain.shutdown);', ';'],
    ],
  },
  {
    file: 'inventory/feed/feed.js',
    tests: [
      'inventory/feed/feed',
      'inventory/feed/subscription',
      'oracle/oracle.test',
      'inventory/leaves-nothing',
    ],
    mutants: [
      ['a token of another life is believed', 'epoch === this.#epoch && ', ''],
      ['a token of the future is believed', ' && revision <= this.#revision', ''],
      [
        'what is not kept any more is given',
        'return revision >= this.#revision - this.#kept.length;',
        'return revision >= this.#revision - this.#kept.length - 1;',
      ],
      ['who waits is not woken', 'this.#tell();\n        this.#wake();', 'this.#tell();'],
      ['a subscriber that was woken is woken for ever', 'this.#waiting.delete(wake);', ''],
      [
        'a subscriber that was woken keeps its listener',
        "signal?.removeEventListener('abort', wake);",
        '',
      ],
      ['the observable of changes never completes', 'this.#changes.complete();', ''],
      ['net changes are those of an earlier revision', ' || this.#net.to !== this.#revision', ''],
    ],
  },
  {
    file: 'inventory/feed/subscription.js',
    tests: ['inventory/feed/subscription'],
    mutants: [
      [
        'return() leaves next() pending',
        'const end = async () => {\n        ending.abort();',
        'const end = async () => {',
      ],
      [
        'a subscription that has ended keeps its listener',
        'finally {\n        stopListening();\n    }',
        'finally {\n    }',
      ],
      ['a snapshot that is called off is an error', 'if (signal.aborted || (error', 'if ((error'],
      [
        'an inventory that is closed is an error',
        'if (signal.aborted || (error instanceof XenError && error.code === ErrorCode.CLOSED))',
        'if (signal.aborted)',
      ],
      [
        'a signal that was aborted before is overlooked',
        'if (signal?.aborted === true)\n        ending.abort();',
        '',
      ],
      [
        'one change too few is conflated',
        'changes.length > CONFLATE_OVER',
        'changes.length >= CONFLATE_OVER',
      ],
      ['a second snapshot is not marked', "kind = 'resync';", ''],
      [
        'a token that is not known begins with a plain snapshot',
        "token === undefined ? 'snapshot' : 'resync'",
        "'snapshot'",
      ],
    ],
  },
  {
    file: 'inventory/holders.js',
    tests: ['inventory/holders', 'oracle/oracle.test'],
    mutants: [
      [
        'a holder that ended stays in the cache',
        'holderRemoved(handle) {\n        this.#known.delete(uuidOf(handle));',
        'holderRemoved(handle) {',
      ],
      [
        'a second holder is not noticed by the cache',
        'holderAdded(handle) {\n        this.#known.delete(uuidOf(handle));',
        'holderAdded(handle) {',
      ],
      [
        'one of several holders is cached',
        'if (holders.length === 1 && domid !== undefined)',
        'if (domid !== undefined)',
      ],
      [
        'the cache does not know what was used last',
        'known.size < known.max ? known.peek(uuid) : known.get(uuid)',
        'known.peek(uuid)',
      ],
    ],
  },
  {
    file: 'inventory/next-domid.js',
    tests: ['inventory/next-domid', 'inventory/guess'],
    mutants: [
      [
        'a new domain somewhere else is as expected',
        'distance(newest, nearest) <= GUESS_LOOKS &&',
        'true ||',
      ],
      [
        'the guess does not wrap',
        'mirror.firstAbsent(domid + 1, GUEST_DOMIDS) ?? mirror.firstAbsent(FIRST_GUEST, domid)',
        'mirror.firstAbsent(domid + 1, GUEST_DOMIDS)',
      ],
      [
        'a domain 16 domids on is unexpected',
        'distance(newest, nearest) <= GUESS_LOOKS',
        'distance(newest, nearest) < GUESS_LOOKS',
      ],
      ['many new domains are unexpected', ' + 2 * domids.length', ''],
      ['a guess makes one look more', 'looks < GUESS_LOOKS', 'looks <= GUESS_LOOKS'],
    ],
  },
  {
    file: 'inventory/event-lists.js',
    tests: ['inventory/event-lists', 'inventory/witnesses', 'oracle/oracle.test'],
    mutants: [
      [
        'a list that failed is not made again',
        "this.#lists.want(reasons.has('connect') ? 'connect' : 'event', this.#retryDue);",
        '',
      ],
      ["others' failures put the retry off", 'if (now >= this.#retryDue)', 'if (now >= 0)'],
      [
        'a retry is made ever as soon',
        'this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MAX_MS);',
        '',
      ],
      [
        'a list that worked leaves the next wait long',
        'this.#retryMs = RETRY_FIRST_MS;\n            if',
        'if',
      ],
      [
        'each event is the first',
        'const isFirst = now - this.#lastEvent > QUIET_MS;',
        'const isFirst = true;',
      ],
      [
        'no event is the first',
        'const isFirst = now - this.#lastEvent > QUIET_MS;',
        'const isFirst = false;',
      ],
      [
        'the spacing has no upper bound',
        'Math.min(onePercentMs, SPACING_COSTS_MAX_MS)',
        'onePercentMs',
      ],
      ['lists that are slow take all the time', ' + LEAST_SPACING_COSTS * this.#lists.costMs', ''],
      ['events while a list ran do not wait', "this.#lists.delay('event', this.#spacedDue);", ''],
      [
        'an introduction is answered by the list only',
        'this.#lookAhead();\n        this.#received',
        'this.#received',
      ],
      [
        'a look that fails is an error',
        'catch {\n            // The hypervisor failed: the list is retried until it succeeds.\n        }',
        'catch (error) { throw error; }',
      ],
      ['zombies while a list ran do not wait', "this.#lists.delay('zombie', this.#spacedDue);", ''],
      [
        'an event after a success waits for the retry',
        'this.#retryDue = 0;\n            this',
        'this',
      ],
      ['a list for zombies does not space the next one', " || reasons.has('zombie')", ''],
    ],
  },
  {
    file: 'inventory/mirror.js',
    tests: ['inventory/mirror', 'inventory/lists', 'oracle/oracle.test'],
    mutants: [
      [
        'a list without order is taken for a whole one',
        'return isAscending && previous < DOMID_FIRST_RESERVED;',
        'return true;',
      ],
      [
        'the last word of a handle is not compared',
        ' ||\n                handles[at + 3] !== words[handle + 3]',
        '',
      ],
      [
        'a domid that stands twice is read twice',
        'if (domid >= DOMID_FIRST_RESERVED || isListed[domid] === 1)',
        'if (domid >= DOMID_FIRST_RESERVED)',
      ],
      [
        'a dying domain is a holder',
        'if (state === ABSENT || (state & DYING) !== 0)',
        'if (state === ABSENT)',
      ],
      [
        'the nil handle has holders',
        'return (w0 | w1 | w2 | w3) === 0 ? undefined : { w0, w1, w2, w3 };',
        'return { w0, w1, w2, w3 };',
      ],
      [
        'the last word of a handle does not tell holders apart',
        ' &&\n                handles[at + 3] === w3',
        '',
      ],
      [
        'the first holder in a bucket hides the others',
        'this.#nexts[domid] = this.#firsts[bucket] ?? NONE;',
        'this.#nexts[domid] = NONE;',
      ],
      [
        'a holder that ended takes the others of its bucket along',
        'this.#firsts[bucket] = next;',
        'this.#firsts[bucket] = NONE;',
      ],
      [
        'a holder that ended cuts the chain of its bucket',
        'this.#nexts[before] = next;',
        'this.#nexts[before] = NONE;',
      ],
      [
        'holders are given in the order in which they came',
        'return holders.toSorted((one, other) => one - other);',
        'return holders;',
      ],
      [
        'the last domid is never absent',
        'return domid < 0 || domid > to ?',
        'return domid < 0 || domid >= to ?',
      ],
      ['a shutdown code is no news', 'DYING | SHUTDOWN | SHUTDOWN_CODE', 'DYING | SHUTDOWN'],
      [
        'a domain that dies stays a holder',
        'if (sameHandle && (held === undefined) === (holds === undefined))',
        'if (sameHandle)',
      ],
      ['domains that are gone are counted', 'this.#count--;', ''],
    ],
  },
  {
    file: 'inventory/zombies.js',
    tests: ['inventory/zombies'],
    mutants: [
      [
        'a zombie is looked at once',
        'this.#lookAt(due);\n        this.#schedule();',
        'this.#lookAt(due);',
      ],
      [
        'a zombie is looked at ever as often',
        'if (since > oldest || nextMs > this.#options.longestMs)',
        'if (since > -1)',
      ],
      [
        'a young zombie waits for an old one',
        'if (isFirst)\n            this.#schedule();',
        'if (isFirst && this.#timer === undefined)\n            this.#schedule();',
      ],
      [
        'a tick that passed while the event loop was busy is left out',
        'if (Math.floor(this.#ticks / stride) > Math.floor(handled / stride))',
        'if (this.#ticks % stride === 0)',
      ],
      [
        'a zombie that is gone stays',
        'level.delete(domid);\n                continue;',
        'continue;',
      ],
      [
        'many zombies are looked at one by one',
        'if (due.length > LOOKS_OF_A_LIST + census.count / DOMAINS_A_LOOK)',
        'if (due.length < 0)',
      ],
      ['zombies outlive the inventory', 'if (lowest < 0 || this.#closed)', 'if (lowest < 0)'],
      [
        'a domid that dies again stays old',
        'for (const level of this.#levels)\n            level.delete(domid);\n        youngest.set(domid, performance.now());',
        'if (!this.#levels.some((level) => level.has(domid)))\n            youngest.set(domid, performance.now());',
      ],
      [
        'the timer outlives close',
        'this.#closed = true;\n        clearTimeout(this.#timer);',
        'this.#closed = true;',
      ],
      [
        'an earlier timer fires too',
        'clearTimeout(this.#timer);\n        const lowest',
        'const lowest',
      ],
      ['a zombie moves up too early', 'TICK_MS * 2 ** (index + 1)', 'TICK_MS * 2 ** index'],
      [
        'domains that are gone count as dying',
        'if (this.#isDying(domid))\n                    count++;',
        'count++;',
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
    file: 'inventory/pipeline.js',
    tests: ['inventory/pipeline'],
    mutants: [
      ['a xenstored that answers nothing counts as connected', '<= SILENT_MS', '<= Infinity'],
      ['a silent connection is not asked anything', "xenstore.read('/')", 'Promise.resolve()'],
    ],
  },
  {
    file: 'inventory/xenstore-link.js',
    tests: ['service/xenstore-log', 'inventory/hints'],
    mutants: [
      ['a connection that is lost stays in use', 'hints.xenstore = undefined;', ''],
      [
        'a silent connection counts as one that ended',
        'if (!answering)',
        'if (!answering && this.disconnects++ >= 0)',
      ],
      [
        'an attempt to connect is a disconnect',
        'if (hints.xenstore !== undefined)\n                    this.disconnects++;',
        'this.disconnects++;',
      ],
      ['a new connection makes no list', "lists.want('connect', 0);", ''],
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
        'if (domain?.uuid !== uuid || domain.dying)\n                continue;',
        'if (domain === null)\n                continue;',
      ],
      [
        'a UUID is asked for at each look-up',
        'if (this.#requested.has(uuid))\n            return;',
        '',
      ],
      ['a UUID is asked for once and never again', 'this.#requested.clear();', ''],
      [
        'a UUID that nobody has says something about xenstore',
        'if (knewNothing && shown.has(uuid))',
        'if (knewNothing)',
      ],
      [
        'a reconnect changes nothing',
        'this.#xenstore = xenstore;\n        this.#useless = 0;',
        'this.#xenstore = xenstore;',
      ],
      [
        'a useless xenstore is asked once more',
        'this.#useless >= USELESS',
        'this.#useless > USELESS',
      ],
      [
        'a reserved domid is looked at',
        'domid >= DOMID_FIRST_RESERVED',
        'domid > DOMID_FIRST_RESERVED',
      ],
      ['a request that fails is an unhandled rejection', '.catch(() => undefined);', ';'],
      [
        'an answer that comes late counts for the next list',
        'else if (this.#requested.has(uuid))\n',
        'else\n',
      ],
    ],
  },
  {
    file: 'hypervisor/hypercall-error.js',
    tests: ['hypervisor'],
    mutants: [['an operation that Xen lacks is an error', ' || result === -ENOSYS', '']],
  },
  {
    file: 'xenstore/connection.js',
    tests: ['xenstore/connection', 'xenstore/xenstore', 'xenstore/watches'],
    mutants: [
      [
        'the id of a pending request is used again',
        'while (this.#pending.has(this.#reqId));',
        'while (this.#reqId < 0);',
      ],
      [
        'a request has the id of events',
        'this.#reqId === this.#reqIdMax ? 1 :',
        'this.#reqId === this.#reqIdMax ? 0 :',
      ],
      [
        'a request that was answered stays pending',
        'const value = pending.decode(payload);\n        this.#pending.delete(reqId);',
        'const value = pending.decode(payload);',
      ],
      [
        'a request that was refused stays pending',
        'this.#pending.delete(reqId);\n        if (pending.absentIsUndefined',
        'if (pending.absentIsUndefined',
      ],
      ['the socket stays open after the end', 'this.#socket.destroy();', ''],
      [
        'pending requests outlive the connection',
        'for (const { reject } of pending)\n            reject(reason);',
        '',
      ],
      [
        'watches outlive the connection',
        'for (const { end } of listeners)\n            end(reason);',
        '',
      ],
      [
        'a request after the end is sent',
        'if (this.#ended)\n                throw this.#ended;',
        '',
      ],
      [
        'the age is that of the newest request',
        'of this.#pending.values())\n            return',
        'of [...this.#pending.values()].toReversed())\n            return',
      ],
      ['a reply of another type is accepted', 'if (type !== pending.type)', 'if (type < 0)'],
      [
        'each request is written by itself',
        'queueMicrotask(() => this.#writer.flush());',
        'this.#writer.flush();',
      ],
    ],
  },
  {
    file: 'xenstore/watches.js',
    tests: ['xenstore/watches', 'inventory/pipeline'],
    mutants: [
      ['events reach a subscriber that has left', 'connection.unlisten(token);', ''],
      [
        'the watch stays set',
        'connection.request(XsdType.UNWATCH, NO_TRANSACTION, payload, done).catch(() => undefined);',
        'void payload;',
      ],
      ['a watch that was refused is removed', 'if (!refused)', "if (token !== '')"],
    ],
  },
  {
    file: 'xenstore/xenstore.js',
    tests: ['xenstore/xenstore'],
    mutants: [
      ['a transaction is tried once more', 'if (!(attempt < tries))', 'if (!(attempt <= tries))'],
      [
        'any refused commit is a conflict',
        "if (!isReply(error, 'EAGAIN'))\n                throw error;",
        '',
      ],
      [
        'a transaction is dropped after its error is thrown',
        'await transaction.end(false)',
        'void transaction.end(false)',
      ],
      [
        'a transaction whose body throws is committed',
        'transaction.end(false)',
        'transaction.end(true)',
      ],
      [
        'a transaction can be used after its end',
        'this.#ended = true;\n        await ended;',
        'await ended;',
      ],
      [
        'a transaction without an id is used',
        'if (txId === 0 || txId > 0xffff_ffff)',
        'if (txId > 0xffff_ffff)',
      ],
    ],
  },
  {
    file: 'xenstore/verbs.js',
    tests: ['xenstore/xenstore', 'xenstore/wire'],
    mutants: [
      [
        'parts of a changed directory are put together',
        "if (part.generation !== generation)\n                return 'changed';",
        '',
      ],
      [
        'a part of a directory begins one byte late',
        'offset += part.byteLength;',
        'offset += part.byteLength + 1;',
      ],
      [
        'a directory as long as allowed is refused',
        'if (strings.length > CHILDREN_MAX)',
        'if (strings.length >= CHILDREN_MAX)',
      ],
      [
        'a daemon without parts is reported, not a long directory',
        "throw isReply(error, 'ENOSYS') ? tooBig : error;",
        'throw error;',
      ],
    ],
  },
  {
    file: 'xenstore/connect.js',
    tests: ['xenstore/connection', 'xenstore/xenstore'],
    mutants: [
      [
        'a missing socket is tried until the deadline',
        'if (!full || performance.now() + delayMs > deadline)',
        'if (performance.now() + delayMs > deadline)',
      ],
      [
        'a full socket is tried once',
        'if (!full || performance.now() + delayMs > deadline)',
        'if (deadline > 0)',
      ],
      ['connecting cannot be aborted', 'signal?.throwIfAborted();', ''],
    ],
  },
  {
    file: 'xenstore/paths.js',
    tests: ['xenstore/paths', 'xenstore/xenstore', 'xenstore/connection'],
    mutants: [
      [
        'the longest path is refused',
        'path.length <= XENSTORE_ABS_PATH_MAX',
        'path.length < XENSTORE_ABS_PATH_MAX',
      ],
      [
        'the longest message is refused',
        'if (byteLength <= XENSTORE_PAYLOAD_MAX)',
        'if (byteLength < XENSTORE_PAYLOAD_MAX)',
      ],
    ],
  },
  {
    file: 'inventory/pipeline.js',
    tests: ['inventory/pipeline', 'inventory/event-lists', 'oracle/oracle.test'],
    mutants: [
      ['the first event of a watch counts', 'introduced$.pipe(skip(1), ', 'introduced$.pipe('],
      ['reconnecting stays slow after a success', 'resetOnSuccess: true', 'resetOnSuccess: false'],
      [
        'a connection outlives its subscriber',
        'opened.then((xenstore) => xenstore.close()).catch(() => undefined);',
        'void opened;',
      ],
      [
        'events are counted again in each turn',
        'const events = count;\n            count = 0;',
        'const events = count;',
      ],
      ['the end of a connection is not reported', 'tap({ error: options.onDisconnected }), ', ''],
      [
        'the list of a connection does not wait for the second watch',
        'combineLatest([introduced$.pipe(take(1)), released$.pipe(take(1))])',
        'introduced$.pipe(take(1))',
      ],
    ],
  },
  {
    file: 'inventory/inventory.js',
    tests: [
      'inventory/open-close',
      'inventory/lookup-options',
      'inventory/lists',
      'inventory/feed/subscription',
      'inventory/lookup',
      'inventory/witnesses',
      'inventory/event-lists',
      'inventory/zombies',
      'inventory/hints',
      'inventory/results',
      'inventory/leaves-nothing',
      'table/table-writer',
      'oracle/oracle.test',
    ],
    mutants: [
      ['the slow timer outlives the inventory', 'this.#stopTimer();', ''],
      ['the connection to xenstore outlives the inventory', 'this.#xenstore.close();', ''],
      ['zombies are looked at after close', 'this.#zombies.close();', ''],
      [
        'close does not wait for the list',
        'await this.#lists.close();',
        'void this.#lists.close();',
      ],
      ['close does not wait for lists that are decoded', 'await Promise.all(this.#decoding);', ''],
      [
        'a hypervisor that was passed in is closed',
        'if (this.#ownsHypervisor)\n            await',
        'await',
      ],
      [
        'a failed open leaves the timer running',
        'await inventory.close();\n            throw error;',
        'throw error;',
      ],
      ['subscriptions outlive the inventory', 'this.#feed.end();', ''],
      [
        'a second close closes again',
        'this.#closed ??= this.#close();',
        'this.#closed = this.#close();',
      ],
      [
        'a list that was made keeps its timer',
        'stopLimits();\n                leave();',
        'leave();',
      ],
      [
        'a list that was aborted keeps its place',
        'stopLimits();\n                leave();',
        'stopLimits();',
      ],
      [
        'an aborted get answers',
        'checkCall(options);\n        if (this.#closed !== undefined)\n            return',
        'if (this.#closed !== undefined)\n            return',
      ],
      [
        'decoded lists are kept',
        'decoding.then(() => this.#decoding.delete(decoding))',
        'decoding',
      ],
      [
        'unique ids are read after close',
        'from !== undefined && this.#closed === undefined',
        'from !== undefined',
      ],
      ['a hit by domid is not counted by its source', 'this.#sources.cache++;', ''],
      [
        'look-ups of many are not counted',
        'for (const result of results)\n            this.#count(result);',
        '',
      ],
    ],
  },
  {
    file: 'inventory/feed/conflate.js',
    tests: ['inventory/feed/conflate', 'inventory/feed/subscription', 'oracle/oracle.test'],
    mutants: [
      ['net changes keep the order of the first changes', 'spans.delete(domid);', ''],
      [
        'a domain in place of another is the same',
        "if (kind === 'destroyed')\n            span.isOther = true;",
        '',
      ],
      [
        'destroyed domains are not first',
        "...net.filter(({ kind }) => kind === 'destroyed'),\n        ...net.filter(({ kind }) => kind !== 'destroyed'),",
        '...net,',
      ],
      [
        'a domain that is dying by then is created only',
        'return domain.dying ? [',
        'return domain === undefined ? [',
      ],
    ],
  },
  {
    file: 'abort.js',
    tests: ['abort', 'inventory/lookup-options'],
    mutants: [
      ['the listener outlives its last call', "signal.removeEventListener('abort', listener);", ''],
      ['one call that ends leaves the others without a signal', ' || registrations.size > 0)', ')'],
      [
        'a callback that throws keeps the others from running',
        'process.nextTick(() => {\n            throw error;\n        });',
        'throw error;',
      ],
    ],
  },
  {
    file: 'backoff.js',
    tests: ['backoff', 'inventory/pipeline'],
    mutants: [
      ['the first delay is doubled', '2 ** (attempts - 1)', '2 ** attempts'],
      [
        'delays have no upper bound',
        'Math.min(firstMs * 2 ** (attempts - 1), maxMs)',
        'firstMs * 2 ** (attempts - 1)',
      ],
    ],
  },
  {
    file: 'inventory/durations.js',
    tests: ['inventory/durations', 'inventory/looks', 'service/metrics'],
    mutants: [
      ['a look that stands for eight counts once', '?? 0) + times;', '?? 0) + 1;'],
      ['a duration is counted one bucket too high', '32 - Math.clz32', '33 - Math.clz32'],
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
      ['a user may have all connections', 'this.#most / 2', 'this.#connections'],
      ['none is kept for root', 'Math.min(FOR_ROOT, Math.floor(this.#most / 8))', '0'],
    ],
  },
  {
    file: 'service/memory.js',
    tests: ['service/hostile'],
    mutants: [
      ['a list counts for each who reads it', 'shared / (users.get(of) ?? 1)', 'shared'],
      [
        'requests that wait take nothing',
        'return REQUEST_BYTES + BYTES_A_BYTE * Math.max(0, length - SHORT_BYTES)',
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
        'token !== undefined && this.#inventory.canFollow(token)',
        'token === this.#inventory.token',
      ],
    ],
  },
  {
    file: 'service/answers/methods.js',
    tests: ['service/protocol', 'service/fuzz'],
    mutants: [
      [
        'a subscription that is not there is ended',
        'session?.unsubscribe(subscription) === true\n        ? ',
        'session?.unsubscribe(subscription) !== undefined\n        ? ',
      ],
      [
        'HTTP may subscribe',
        "session === undefined\n        ? needsConnection('subscribe'",
        "session === null\n        ? needsConnection('subscribe'",
      ],
    ],
  },
  {
    file: 'service/answers/shared-calls.js',
    tests: ['service/lists'],
    mutants: [
      [
        'a list is made for a client that has gone',
        '[...queued.keys()].every(({ isGone }) => isGone)',
        'false',
      ],
      [
        'a client that has gone is kept until the list',
        'onGone();\n            this.resolve(undefined);',
        '',
      ],
      ['lists take all of the time', 'return Math.max(0, this.#notBefore - now)', 'return 0'],
    ],
  },
  {
    file: 'service/answers/request-id.js',
    tests: ['service/protocol'],
    mutants: [
      ['an id that was rounded is told back', 'decimalOf(written) === decimalOf(json)', 'true'],
    ],
  },
  {
    file: 'service/answers/dispatcher.js',
    tests: ['service/protocol', 'service/fuzz', 'service/hostile'],
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
    file: 'inventory/waiting/waits.js',
    tests: ['inventory/waiting/ticks', 'inventory/waiting/waits'],
    mutants: [
      ['waits do not look less often', 'quietMs * QUIET_PART', '0'],
      ['a new domain is no reason to look more often', "if (kind === 'created')", 'if (false)'],
      ['waits look at what xenstore announces', '!hearsEvents && ', ''],
      [
        'a wait that is polled is not put behind the others',
        "'cache');\n        this.#place(wait);",
        "'cache');",
      ],
      [
        'the time of a wait does not read the holders again',
        "wait.timeIsUp(lookups.read(wait.uuid, 'cache'))",
        'wait.timeIsUp(undefined)',
      ],
      [
        'a wait for a VM that is gone already makes no list',
        'this.#prove(wait);\n        this.#news();',
        'this.#news();',
      ],
      [
        'a wait that ends stays in its sets',
        'set.delete(wait);\n        if (--this.#count',
        'set.has(wait);\n        if (--this.#count',
      ],
    ],
  },
  {
    file: 'service/connections/connection-waits.js',
    tests: ['service/waits'],
    mutants: [
      ['a connection has any number of waits', 'this.#waits.size >= WAITS_MAX', 'false'],
      ['all connections have any number of waits', 'this.#shares.add(this.#uid);', ''],
      ['a wait that ends keeps its place', 'this.#shares.remove(this.#uid);', ''],
      [
        'a wait of a connection that ends is answered',
        'return wait.outcome;',
        'return wait.outcome ?? CANCELLED;',
      ],
      ['two waits have one id', 'if (this.#waits.has(id))', 'if (false)'],
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
    file: 'service/http/sites.js',
    tests: ['service/browser'],
    mutants: [
      ['a name of the public DNS may be this host', "!name.includes('.')", 'true'],
      ['a page of another origin may ask', 'if (origin !== undefined &&', 'if (false &&'],
      ['a page of another site may ask', '&& !isLink', '&& false'],
      ['a page of another site may have a frame of this one', "dest === 'document'", 'true'],
    ],
  },
  {
    file: 'service/http/events.js',
    tests: ['service/events'],
    mutants: [
      ['a client that has gone stays subscribed', "socket.once('end', () => this.end());", ''],
      [
        'an unknown token begins as none does',
        "token === undefined ? 'snapshot' : 'resync'",
        "'snapshot'",
      ],
      ['the token is not read', "headers['last-event-id']", 'undefined'],
      ['the body has chunks', "response.removeHeader('Transfer-Encoding');", ''],
      ['a quiet stream has no comments', 'this.output.sendAscii(HEARTBEAT);', ''],
      ['a slow reader is not told why', 'this.output.send(`event: end', 'void (`event: end'],
      [
        'a hypervisor that fails is a bug of ours',
        'if (!(error instanceof XenError))',
        'if (true)',
      ],
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
  {
    file: 'table/layout.js',
    tests: ['table/layout'],
    mutants: [
      ['a second holder replaces the first', 'before === EMPTY ? hint : SEVERAL', 'hint'],
      [
        'several holders stay several when one is left',
        'if (others.length > 0)\n            return undefined;\n        return this.#set(handle, holder',
        'if (true)\n            return undefined;\n        return this.#set(handle, holder',
      ],
      [
        'an entry is removed with any domid',
        'if (before === (DOMID_BIT | domid))',
        'if (before !== EMPTY && before !== SEVERAL)',
      ],
      [
        'a slot that becomes free stays free',
        'const next = this.#unplaced.get(bucket)?.shift();',
        'const next = undefined;',
      ],
      ['a bucket that has no room is not marked', 'this.#markFull(bucket, true);', ''],
      ['a bucket with room stays marked as full', 'this.#markFull(bucket, false);', ''],
      ['the hint of a UUID without a slot stays as it was', 'entry.hint = hint;', '{ }'],
      ['a UUID without a slot that has gone gets the next slot', 'unplaced.splice(index, 1);', ''],
      ['nil has an entry', 'if ((w0 | w1 | w2 | w3) === 0)', 'if (false)'],
      ['a tombstone has an entry', '(w3 & 0xffff) === 0', 'false'],
      ['a tombstone is any UUID that begins as one', ' && (w3 & 0xffff) === 0', ''],
      [
        'a bucket may hold less than its slots',
        'slots * (HANDLE_BYTES + HINT_BYTES) + HINT_BYTES <= bucketBytes',
        'true',
      ],
      [
        'a header may be shorter than its fields',
        'headerBytes >= HeaderOffset.since + 8',
        'headerBytes >= HeaderOffset.since - 8',
      ],
      ['the last bucket may end beyond the file', '<= size);', '<= size + bucketBytes);'],
      ['several holders are a domid', 'domid < DOMID_FIRST_RESERVED;', 'true;'],
      [
        'the hash forgets the last word of a UUID',
        'stir(stir(stir(stir(0, w0), w1), w2), w3)',
        'stir(stir(stir(0, w0), w1), w2)',
      ],
    ],
  },
  {
    file: 'table/table-writer.js',
    tests: ['table/table-writer'],
    mutants: [
      [
        'a writer begins with the entries of the one before',
        'this.#write(from, this.#image.bytes.length - from);',
        '',
      ],
      [
        'a change does not write the header',
        'this.#writeBucket(bucket);\n            this.#writeChanging();',
        'this.#writeBucket(bucket);',
      ],
      ['a block ends before its last bucket', 'last - first + 1', 'last - first'],
      [
        'many changes are written one by one',
        'if (this.#changed.size > SINGLE_WRITES_MAX)',
        'if (false)',
      ],
      ['a change is written twice', 'if (bucket === undefined || this.#fd', 'if (this.#fd'],
      ['changes wait for a flush', 'void NOW.then(this.#flushLater);', ''],
      [
        'a writer that ends leaves its name',
        'this.#writeWriter(TableState.stopped, 0, 0n);',
        'void fd;',
      ],
      [
        "a displaced writer ends another's table",
        'if (this.#isOurs(fd))\n                this.#writeWriter',
        'if (true)\n                this.#writeWriter',
      ],
      [
        'a displaced writer goes on',
        "throw refused(this.path, 'another process has taken it over');",
        ';',
      ],
      [
        'a writer goes on in a file that has no name',
        "throw refused(this.path, 'the file is there no more');",
        ';',
      ],
      [
        'a writer that failed keeps its timer',
        'this.#fd = undefined;\n            closeSync(fd);\n            this.#stopHeartbeat();',
        'this.#fd = undefined;\n            closeSync(fd);',
      ],
      [
        'a descriptor is closed twice',
        'if (this.#fd === undefined)\n            return;\n        closeSync(this.#fd);',
        'closeSync(this.#fd);',
      ],
      [
        'the number of UUIDs without a slot is not written',
        'bytes.writeUInt32LE(unplaced, HeaderOffset.unplaced);',
        '',
      ],
      [
        'a change does not renew the heartbeat',
        'writeUint64(bytes, Date.now(), HeaderOffset.heartbeat);',
        '',
      ],
      ["another user's file is taken over", 'if (stats.uid !== uid)', 'if (stats.uid === -1)'],
      ['a file with two names is taken over', 'if (stats.nlink > 1)', 'if (false)'],
      [
        'any process with the id of the writer is the writer',
        'processStart(header.pid) === header.start',
        'processStart(header.pid) !== undefined',
      ],
      [
        'a living writer is displaced',
        'if (header.pid !== 0 && processStart(header.pid) === header.start)',
        'if (false)',
      ],
      ['a table of another format is taken over', 'header.version === FORMAT_VERSION &&', ''],
      [
        'readers of an old format are told nothing',
        'writeSync(fd, state, 0, state.length, HeaderOffset.state);',
        '',
      ],
      [
        'what a writer left unfinished is in the way',
        'removeUnfinished(path);\n    return',
        'return',
      ],
      ['the mode is that of the file before', 'fchmodSync(fd, MODE);', ''],
      ['the directory has the mode of the umask', 'process.umask(0o022)', 'process.umask()'],
      [
        'the group of the writer before may read',
        'owners !== undefined && owners.gid !== gid',
        'false',
      ],
    ],
  },
  {
    file: 'table/table-reader.js',
    tests: ['cli/table'],
    mutants: [
      [
        'a writer that is silent is keeping the table',
        "Date.now() - heartbeatMs > SILENT_AFTER_MS ? 'silent' : 'kept'",
        "'kept'",
      ],
      [
        'a later process with the id of the writer is it',
        'processStart(pid) !== start',
        'processStart(pid) === undefined',
      ],
      ['a retired table is a stopped one', "return 'retired';", "return 'stopped';"],
    ],
  },
  {
    file: 'table/process-start.js',
    tests: ['table/process-start'],
    mutants: [
      ["a process's name shifts its fields", "stat.lastIndexOf(')')", "stat.indexOf(')')"],
      [
        'a process that has ended is an error',
        'catch {\n        return undefined;',
        "catch {\n        throw new Error('none');",
      ],
    ],
  },
];

export const MUTANTS: readonly Mutant[] = ROOMS.flatMap(({ file, tests, mutants }) =>
  mutants.map(([name, text, without]) => ({ name, file, text, without, tests })),
);
