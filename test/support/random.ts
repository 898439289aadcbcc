/** Random numbers that a seed reproduces. */

/** mulberry32. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** 0 (included) to 1. */
  readonly next = (): number => {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };

  /** 0 to `below - 1`. */
  below(below: number): number {
    return Math.floor(this.next() * below);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }
}

/** Picks one of several by weight. */
export class Lottery<T> {
  readonly #tickets: readonly (readonly [weight: number, prize: T])[];
  readonly #total: number;

  constructor(tickets: readonly (readonly [weight: number, prize: T])[]) {
    this.#tickets = tickets;
    this.#total = tickets.reduce((sum, [weight]) => sum + weight, 0);
  }

  draw(random: Random): T {
    let left = random.next() * this.#total;
    for (const [weight, prize] of this.#tickets) {
      left -= weight;
      if (left < 0) return prize;
    }
    return (this.#tickets.at(-1) as readonly [number, T])[1];
  }
}
