/** Assertions about a host: a line each, and a count at the end. */

export class Checks {
  #passed = 0;
  #failed = 0;
  readonly #onFailure: () => Promise<string>;

  /** @param onFailure what to show with a failed check. */
  constructor(onFailure: () => Promise<string>) {
    this.#onFailure = onFailure;
  }

  heading(text: string): void {
    console.log(`\n${text}`);
  }

  /** Runs `body`, which throws where `name` does not hold. */
  readonly check = async (name: string, body: () => Promise<void>): Promise<void> => {
    const begin = performance.now();
    const seconds = (): string => `(${((performance.now() - begin) / 1000).toFixed(1)} s)`;
    try {
      await body();
      this.#passed += 1;
      console.log(`  ✓ ${name} ${seconds()}`);
    } catch (error) {
      this.#failed += 1;
      console.log(`  ✕ ${name} ${seconds()}`);
      const shown = `${(error as Error).message}\n${await this.#onFailure().catch(() => '')}`;
      console.log(shown.replace(/^/gm, '      '));
    }
  };

  summary(): string {
    return `${this.#passed} passed, ${this.#failed} failed`;
  }

  get ok(): boolean {
    return this.#failed === 0 && this.#passed > 0;
  }
}
