/** Lists in pages, as toolstacks make them, through our own binding: only the algorithm differs from our lists. */
import { DOMID_FIRST_RESERVED } from '../../src/domain.ts';
import { type Dominfo, DominfoList } from '../../src/hypervisor/dominfo.ts';
import {
  architectureOf,
  INTERFACES,
  SYSCTL_BYTES,
  SysctlCommand,
  SysctlOffset,
} from '../../src/hypervisor/layout.ts';
import { openXencall } from '../../src/hypervisor/libxencall.ts';
import { Hypercall } from '../../src/hypervisor/xencall.ts';
import type { UuidWords } from '../../src/uuid.ts';

/** The page that ends a list: an empty one, a short one, or the first. `append`: a short one, with pages appended from the last. */
export type Stop = 'empty' | 'short' | 'once' | 'append';

export interface PagedLists {
  /** Lists all domains and returns the domid with this handle, or -1. */
  find(room: number, stop: Stop, words: UuidWords): number;
  close(): void;
}

interface Entry {
  readonly domid: number;
  readonly isIt: boolean;
}

const MOST_ROOM = 32_768;

/** @param sysctlInterface the interface version of the running Xen. */
export function openPagedLists(sysctlInterface: number): PagedLists {
  const xencall = openXencall();
  const recordBytes =
    INTERFACES.find(({ sysctl }) => sysctl === sysctlInterface)?.recordBytes[
      architectureOf(process.arch)
    ] ?? Number.NaN;
  const operation = xencall.allocate(SYSCTL_BYTES);
  const arena = xencall.allocate(MOST_ROOM * recordBytes);
  operation.view.setUint32(SysctlOffset.cmd, SysctlCommand.getdomaininfolist, true);
  operation.view.setUint32(SysctlOffset.interfaceVersion, sysctlInterface, true);
  operation.view.setBigUint64(SysctlOffset.buffer, BigInt(arena.address), true);

  const page = (first: number, room: number): DominfoList => {
    operation.view.setUint16(SysctlOffset.firstDomain, first, true);
    operation.view.setUint32(SysctlOffset.maxDomains, room, true);
    const result = xencall.call(Hypercall.sysctl, operation.address);
    if (result < 0) throw new Error(`XEN_SYSCTL_getdomaininfolist: errno ${-result}`);
    const found = operation.view.getUint32(SysctlOffset.numDomains, true);
    return new DominfoList(arena.view, recordBytes, found);
  };

  return {
    find(room, stop, words) {
      const isIt = (info: Dominfo): boolean => info.hasHandle(words) && !info.dying;
      const pages: Entry[][] = [];
      for (let first = 0; first < DOMID_FIRST_RESERVED;) {
        const list = page(first, room);
        pages.push(Array.from(list, (info) => ({ domid: info.domid, isIt: isIt(info) })));
        if (list.length === 0 || stop === 'once') break;
        if (stop !== 'empty' && list.length < room) break;
        first = list.at(list.length - 1).domid + 1;
      }
      const all =
        stop === 'append'
          ? pages.reduceRight<Entry[]>((rest, entries) => [...rest, ...entries], [])
          : pages.flat();
      return all.find((entry) => entry.isIt)?.domid ?? -1;
    },
    close: () => xencall.close(),
  };
}
