/** Hypercall memory of a simulated host: gives each allocation a fake address, by which a hypercall finds the memory again. */
import type { HypercallMemory } from '../hypervisor/xencall.ts';

const PAGE_BYTES = 4096;
const FIRST_ADDRESS = 0x7f00_0000_0000;
/** Distance between the addresses of two allocations, bytes: larger than any allocation. */
const STRIDE = 0x1_0000_0000;

export interface Region extends HypercallMemory {
  readonly words: Int32Array;
}

export class SimulatedMemory {
  readonly #regions: Region[] = [];

  allocate(byteLength: number): HypercallMemory {
    const bytes = Math.ceil(byteLength / PAGE_BYTES) * PAGE_BYTES;
    const buffer = new ArrayBuffer(bytes);
    const address = FIRST_ADDRESS + this.#regions.length * STRIDE;
    const region = { address, view: new DataView(buffer), words: new Int32Array(buffer) };
    this.#regions.push(region);
    return region;
  }

  /** Returns the allocation that contains the address, or undefined if there is none: the hypercall then fails with EFAULT. */
  regionAt(address: number): Region | undefined {
    const region = this.#regions[Math.floor((address - FIRST_ADDRESS) / STRIDE)];
    return region !== undefined && address - region.address < region.view.byteLength
      ? region
      : undefined;
  }
}
