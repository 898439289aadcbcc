/** The distribution of many durations, as a list of quantiles. */
import { quantile } from './statistics.ts';

/** The shares at which {@link Quantiles} are taken: 0 is the smallest duration, 1 the largest. */
export const QUANTILES = [
  0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 1,
] as const;

/** Microseconds at each of {@link QUANTILES}. */
export type Quantiles = readonly number[];

export class Latencies {
  #ms = new Float64Array(1024);
  #count = 0;

  record(ms: number): void {
    if (this.#count === this.#ms.length) {
      const grown = new Float64Array(2 * this.#count);
      grown.set(this.#ms);
      this.#ms = grown;
    }
    this.#ms[this.#count++] = ms;
  }

  quantilesUs(): Quantiles {
    const sorted = this.#ms.slice(0, this.#count).toSorted();
    return QUANTILES.map((share) =>
      this.#count === 0 ? 0 : Number((quantile(sorted, share) * 1000).toPrecision(3)),
    );
  }
}
