/** A libxencall without Xen: a test answers each hypercall, byte for byte. */
import { constants } from 'node:os';
import { parseUuid, writeUuid } from '../../src/uuid.ts';
import {
  DomainStateOffset,
  DominfoOffset,
  DomctlCommand,
  DomctlOffset,
  SysctlOffset,
} from '../../src/hypervisor/layout.ts';
import { Hypercall, type HypercallMemory, type Xencall } from '../../src/hypervisor/xencall.ts';

const { EACCES, ESRCH } = constants.errno;

/** Answers one hypercall: sees the operation's bytes, returns a result or -errno. */
export type Answer = (operation: DataView, xen: FakeXencall) => number;

interface Held {
  readonly run: () => void;
}

export class FakeXencall implements Xencall {
  readonly calls: number[] = [];
  readonly allocated: HypercallMemory[] = [];
  closed = false;
  sysctl: Answer;
  domctl: Answer;
  xenVersion: number = (4 << 16) | 17;
  /** While true, asynchronous hypercalls wait for `release`. */
  holding = false;
  readonly #held: Held[] = [];

  constructor(answers: { domctl: Answer; sysctl: Answer }) {
    this.domctl = answers.domctl;
    this.sysctl = answers.sysctl;
  }

  /** Number of waiting asynchronous hypercalls. */
  get held(): number {
    return this.#held.length;
  }

  /** Lets the oldest waiting hypercall run. */
  release(): void {
    this.#held.shift()?.run();
  }

  call(hypercall: number, argument: number): number {
    if (this.closed) throw new Error('hypercall after close');
    this.calls.push(hypercall);
    if (hypercall === Hypercall.xenVersion) return this.xenVersion;
    const operation = this.at(argument);
    return hypercall === Hypercall.domctl
      ? this.domctl(operation, this)
      : this.sysctl(operation, this);
  }

  callAsync(hypercall: number, argument: number): Promise<number> {
    return new Promise((resolve) => {
      const run = (): void => resolve(this.call(hypercall, argument));
      if (this.holding) this.#held.push({ run });
      else setImmediate(run);
    });
  }

  allocate(byteLength: number): HypercallMemory {
    const bytes = Math.ceil(byteLength / 4096) * 4096;
    const memory = {
      address: 0x7f00_0000_0000 + this.allocated.length * 0x1_0000_0000,
      view: new DataView(new ArrayBuffer(bytes)),
    };
    this.allocated.push(memory);
    return memory;
  }

  close(): void {
    if (this.closed) throw new Error('closed twice');
    this.closed = true;
  }

  /** The memory at an address, as Xen would reach it. */
  at(address: number): DataView {
    for (const { address: start, view } of this.allocated) {
      const offset = address - start;
      if (offset >= 0 && offset < view.byteLength) return new DataView(view.buffer, offset);
    }
    throw new Error(`no hypercall memory at 0x${address.toString(16)}`);
  }
}

export interface FakeDomain {
  readonly domid: number;
  readonly uuid: string;
  readonly flags?: number;
}

/** Flags of a domain that is neither shut down nor dying: the high half is 0xFFFF. */
export const ALIVE = 0xffff_0000;

export function writeRecord(record: DataView, domain: FakeDomain): void {
  record.setUint16(DominfoOffset.domain, domain.domid, true);
  record.setUint32(DominfoOffset.flags, domain.flags ?? ALIVE, true);
  writeUuid(record, DominfoOffset.handle, parseUuid(domain.uuid));
}

/** Whether a release answers a missing domid with the next higher domain, as up to 4.17. */
export interface FakeRelease {
  readonly domctl: number;
  readonly sysctl: number;
  readonly xenVersion: number;
  readonly nextHigher: boolean;
  readonly recordBytes: number;
  /** XEN_DOMCTL_get_domain_state is there. */
  readonly uniqueIds: boolean;
}

/** Each domain's unique id is its domid and 1000. */
function domainState(operation: DataView, domains: readonly FakeDomain[]): number {
  const asked = operation.getUint16(DomctlOffset.domain, true);
  if (!domains.some(({ domid }) => domid === asked)) return -ESRCH;
  operation.setBigUint64(DomainStateOffset.uniqueId, BigInt(asked) + 1000n, true);
  return 0;
}

/** A fake Xen with `domains` (ascending domids, read on each hypercall) that answers like `release`. */
export function fakeXen(release: FakeRelease, domains: () => readonly FakeDomain[]): FakeXencall {
  const xen = new FakeXencall({
    domctl(operation) {
      if (operation.getUint32(DomctlOffset.cmd, true) === DomctlCommand.getDomainState) {
        return release.uniqueIds ? domainState(operation, domains()) : -EACCES;
      }
      if (operation.getUint32(DomctlOffset.interfaceVersion, true) !== release.domctl)
        return -EACCES;
      const asked = operation.getUint16(DomctlOffset.domain, true);
      const found = domains().find(({ domid }) =>
        release.nextHigher ? domid >= asked : domid === asked,
      );
      if (found === undefined) return -ESRCH;
      operation.setUint16(DomctlOffset.domain, found.domid, true);
      writeRecord(new DataView(operation.buffer, operation.byteOffset + DomctlOffset.u), found);
      return 0;
    },
    sysctl(operation, self) {
      if (operation.getUint32(SysctlOffset.interfaceVersion, true) !== release.sysctl)
        return -EACCES;
      const room = operation.getUint32(SysctlOffset.maxDomains, true);
      const first = operation.getUint16(SysctlOffset.firstDomain, true);
      const listed = domains()
        .filter(({ domid }) => domid >= first)
        .slice(0, room);
      if (listed.length > 0) {
        const arena = self.at(Number(operation.getBigUint64(SysctlOffset.buffer, true)));
        listed.forEach((domain, index) => {
          writeRecord(
            new DataView(arena.buffer, arena.byteOffset + index * release.recordBytes),
            domain,
          );
        });
      }
      operation.setUint32(SysctlOffset.numDomains, listed.length, true);
      return 0;
    },
  });
  xen.xenVersion = release.xenVersion;
  return xen;
}

export const RELEASES: Readonly<Record<'4.14' | '4.17' | '4.20' | '4.22', FakeRelease>> = {
  '4.14': {
    domctl: 0x12,
    sysctl: 0x13,
    xenVersion: 0x4000e,
    nextHigher: true,
    recordBytes: 104,
    uniqueIds: false,
  },
  '4.17': {
    domctl: 0x15,
    sysctl: 0x15,
    xenVersion: 0x40011,
    nextHigher: true,
    recordBytes: 112,
    uniqueIds: false,
  },
  '4.20': {
    domctl: 0x17,
    sysctl: 0x15,
    xenVersion: 0x40014,
    nextHigher: false,
    recordBytes: 112,
    uniqueIds: false,
  },
  '4.22': {
    domctl: 0x18,
    sysctl: 0x16,
    xenVersion: 0x40016,
    nextHigher: false,
    recordBytes: 112,
    uniqueIds: true,
  },
};
