/** Counts of answered requests, by method and result. */
import type { RpcCode } from '../../protocol/rpc.ts';

export class RequestCounts {
  readonly #methods = new Map<string, MethodCounts>();

  /** @param method an existing method, or `none`: a name that a client made up must not become a label of a metric. */
  of(method: string): MethodCounts {
    let counts = this.#methods.get(method);
    if (counts === undefined) this.#methods.set(method, (counts = new MethodCounts()));
    return counts;
  }

  /** Yields each count with its method and error code, 0 for success. */
  *entries(): Generator<readonly [method: string, code: number, count: number], void, void> {
    for (const [method, { ok, failures }] of this.#methods) {
      yield [method, 0, ok];
      for (const [code, count] of failures) yield [method, code, count];
    }
  }

  get total(): number {
    let total = 0;
    for (const [, , count] of this.entries()) total += count;
    return total;
  }
}

export class MethodCounts {
  ok = 0;
  readonly failures: Map<RpcCode, number> = new Map();

  failed(code: RpcCode): void {
    this.failures.set(code, (this.failures.get(code) ?? 0) + 1);
  }
}
