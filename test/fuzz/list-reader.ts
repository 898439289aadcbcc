/**
 * Lists and single looks in memory that another writer has overwritten: each is refused, or does no harm that the
 * next good list does not undo. The host has a few domains, and patches overwrite their records.
 */
import * as fc from 'fast-check';
import { DOMID_FIRST_RESERVED } from '../../src/domain.ts';
import { DomctlOffset, SysctlOffset } from '../../src/hypervisor/layout.ts';
import { XenHypervisor } from '../../src/hypervisor/xen-hypervisor.ts';
import { Inventory } from '../../src/inventory/inventory.ts';
import { XenError } from '../../src/xen-error.ts';
import { type FakeDomain, fakeXen, type FakeXencall, RELEASES } from '../support/fake-xencall.ts';
import { uuidOf } from '../support/vms.ts';
import { demand, type Target } from './target.ts';

const DOMAINS: readonly FakeDomain[] = [0, 1, 2, 5, 300, 32_751].map((domid) => ({
  domid,
  uuid: uuidOf(domid + 1),
}));
const { recordBytes } = RELEASES['4.17'];
/** A patch: an offset (2 bytes) and the new byte. */
const PATCH_BYTES = 3;

/** Applies patches to the `bytes` bytes of memory that are read. */
function patch(memory: DataView, patches: Uint8Array, bytes: number): void {
  for (let at = 0; at + PATCH_BYTES <= patches.length; at += PATCH_BYTES) {
    const [low = 0, high = 0, value = 0] = patches.subarray(at, at + PATCH_BYTES);
    memory.setUint8((low + 256 * high) % bytes, value);
  }
}

/**
 * An input: how many domains are announced beyond the real ones (1 byte, signed; 127: the next 4 bytes say), the
 * target of the patches (1 byte; odd: single looks too), and patches.
 */
class Corrupted {
  readonly xen: FakeXencall;
  #input: Uint8Array = new Uint8Array();

  constructor() {
    this.xen = fakeXen(RELEASES['4.17'], () => DOMAINS);
    const { sysctl, domctl } = this.xen;
    this.xen.sysctl = (operation, xen) => {
      const result = sysctl(operation, xen);
      if (result === 0 && this.#input.length > 0) this.#corruptList(operation);
      return result;
    };
    this.xen.domctl = (operation, xen) => {
      const result = domctl(operation, xen);
      if (result === 0 && (this.#input[1] ?? 0) % 2 === 1) {
        const record = new DataView(operation.buffer, operation.byteOffset + DomctlOffset.u);
        patch(record, this.#patches(), recordBytes);
      }
      return result;
    };
    this.xen.callAsync = (hypercall, argument) =>
      Promise.resolve(this.xen.call(hypercall, argument));
  }

  /** The input that the memory shows from now on; an empty one changes nothing. */
  set input(input: Uint8Array) {
    this.#input = input;
  }

  #corruptList(operation: DataView): void {
    const [more = 0] = this.#input;
    const signed = more < 128 ? more : more - 256;
    const announced =
      more === 127
        ? Buffer.from(this.#input)
            .subarray(2, 6)
            .readUIntLE(0, Math.min(4, this.#input.length - 2))
        : Math.max(0, DOMAINS.length + signed);
    operation.setUint32(SysctlOffset.numDomains, announced, true);
    const arena = this.xen.at(Number(operation.getBigUint64(SysctlOffset.buffer, true)));
    patch(arena, this.#patches(), recordBytes * (DOMAINS.length + 2));
  }

  #patches(): Uint8Array {
    return this.#input.subarray(this.#input[0] === 127 ? 6 : 2);
  }
}

function truthOf(uuid: string): number {
  return DOMAINS.find((domain) => domain.uuid === uuid)?.domid ?? -1;
}

export async function listReader(): Promise<Target> {
  const memory = new Corrupted();
  const hypervisor = new XenHypervisor(memory.xen, 'x86_64');
  const inventory = await Inventory.open({ hypervisor, xenstore: false });

  const domidsListed = async (): Promise<readonly number[] | undefined> => {
    try {
      const { domains } = await inventory.list();
      return domains.map(({ domid }) => domid);
    } catch (error) {
      demand(error instanceof XenError, `not noticed: ${String(error)}`);
      return undefined;
    }
  };

  const checkLookups = (looksAreTrue: boolean): void => {
    for (const { uuid } of DOMAINS) {
      const found = inventory.resolveKnown(uuid)?.domain;
      if (found === undefined) continue;
      demand(found.uuid === uuid && !found.dying, `${uuid} is answered with ${found.uuid}`);
      demand(!looksAreTrue || found.domid === truthOf(uuid), `${uuid} is found at ${found.domid}`);
    }
  };

  return {
    name: 'list-reader',
    inputs: fc
      .tuple(
        fc.oneof(
          { weight: 6, arbitrary: fc.constant([0]) },
          { weight: 3, arbitrary: fc.integer({ min: 250, max: 262 }).map((n) => [n & 0xff]) },
          { weight: 1, arbitrary: fc.constant([127]) },
        ),
        fc.constantFrom([0], [0], [0], [1]),
        fc.array(
          fc.tuple(fc.nat(255), fc.nat(3), fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 255))),
          { maxLength: 8 },
        ),
      )
      .map(([more, kind, patches]) => Uint8Array.from([more, kind, ...patches].flat())),
    async check(input) {
      if (input.length < 6) return;
      memory.input = input;
      const domids = await domidsListed();
      domids?.forEach((domid, index) => {
        const isNext = index === 0 || domid > (domids[index - 1] as number);
        demand(isNext && domid < DOMID_FIRST_RESERVED, `listed: ${domids.join()}`);
      });
      checkLookups((input[1] ?? 0) % 2 === 0);
      for (const { domid } of DOMAINS) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        const result = await inventory.get(domid);
        demand(
          result.status !== 'found' || result.domain.domid === domid,
          `asked for ${domid}, and got another domain`,
        );
      }
      memory.input = new Uint8Array();
      const domidsNow = (await domidsListed())?.join();
      demand(
        domidsNow === DOMAINS.map(({ domid }) => domid).join(),
        `after a good list there are ${domidsNow}`,
      );
      for (const { uuid, domid } of DOMAINS) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        const result = await inventory.lookup(uuid);
        const found = result.status === 'found' ? result.domain.domid : result.status;
        demand(found === domid, `after a good list ${uuid} is at ${found}`);
      }
    },
    async close() {
      await inventory.close();
      await hypervisor.close();
    },
  };
}
