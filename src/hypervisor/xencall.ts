/** What the hypervisor's binding needs of libxencall: hypercalls, and memory that a hypercall may write to. */

/** Hypercall numbers (`xen/include/public/xen.h`). */
export const Hypercall = { xenVersion: 17, sysctl: 35, domctl: 36 } as const;

/** Memory that Xen can reach: never moved, never paged out. */
export interface HypercallMemory {
  /** Where it begins in this process; below 2^47, so exact as a number. */
  readonly address: number;
  readonly view: DataView;
}

export interface Xencall {
  /**
   * One hypercall with one argument, on the calling thread.
   * @returns what Xen answered, or -errno.
   */
  call(hypercall: number, argument: number): number;
  /** The same on a thread of its own. */
  callAsync(hypercall: number, argument: number): Promise<number>;
  /** Zeroed, page-aligned memory of at least `byteLength` bytes, until `close`. */
  allocate(byteLength: number): HypercallMemory;
  /** No call may be running; none may be made, and no memory touched, afterwards: its pages are gone. */
  close(): void;
}
