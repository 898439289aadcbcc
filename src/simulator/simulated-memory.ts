/** Hypercall memory of a simulated host: addresses that lead back to it, as a hypercall's argument has to. */
import type { HypercallMemory } from '../hypervisor/xencall.ts';

const PAGE_BYTES = 4096;
const FIRST_ADDRESS = 0x7f00_0000_0000;
/** Distance of two allocations: more than any of them takes. */
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

  /** @returns undefined where the address is nobody's: EFAULT. */
  regionAt(address: number): Region | undefined {
    const region = this.#regions[Math.floor((address - FIRST_ADDRESS) / STRIDE)];
    return region !== undefined && address - region.address < region.view.byteLength
      ? region
      : undefined;
  }
}
