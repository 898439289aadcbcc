/** The part of libxencall that the binding uses: hypercalls, and memory that a hypercall may write to. */

/** Hypercall numbers (`xen/include/public/xen.h`). */
export const Hypercall = { xenVersion: 17, sysctl: 35, domctl: 36 } as const;

/** Memory that Xen can reach: never moved, never paged out. */
export interface HypercallMemory {
  /** Start address in this process; below 2^47, so exact as a number. */
  readonly address: number;
  readonly view: DataView;
}

export interface Xencall {
  /**
   * Makes one hypercall with one argument, on the calling thread.
   * @returns Xen's result, or -errno.
   */
  call(hypercall: number, argument: number): number;
  /** Makes a hypercall on another thread. */
  callAsync(hypercall: number, argument: number): Promise<number>;
  /** Returns zeroed, page-aligned memory of at least `byteLength` bytes, valid until `close`. */
  allocate(byteLength: number): HypercallMemory;
  /** Frees the memory. No call may be running, and neither hypercalls nor accesses to the memory may follow. */
  close(): void;
}
