/** When VMs left this host: a look-up that asks several hosts must notice a VM that moves between them. */
import type { Uuid } from '../../uuid.ts';

/** More are forgotten, oldest first. */
const KEPT_MAX = 16_384;

export class Departures {
  /** When each VM left, by `performance.now()`, oldest first. */
  readonly #leftMs = new Map<Uuid, number>();
  /** Any VM may have left up to this time: nothing is known of earlier times. */
  #unknownMs = performance.now();

  note(uuid: Uuid): void {
    this.#leftMs.delete(uuid);
    this.#leftMs.set(uuid, performance.now());
    if (this.#leftMs.size <= KEPT_MAX) return;
    const [oldest] = this.#leftMs;
    if (oldest === undefined) return;
    this.#leftMs.delete(oldest[0]);
    this.#unknownMs = Math.max(this.#unknownMs, oldest[1]);
  }

  /** Changes were missed: any VM may have left until now. */
  forget(): void {
    this.#leftMs.clear();
    this.#unknownMs = performance.now();
  }

  /** Returns the least time since the host may have had the VM, ms. */
  sinceMs(uuid: Uuid): number {
    return performance.now() - (this.#leftMs.get(uuid) ?? this.#unknownMs);
  }
}
