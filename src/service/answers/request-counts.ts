/** Requests answered, by method and by what they ended with. */
import type { RpcCode } from '../../protocol/rpc.ts';

export class RequestCounts {
  readonly #methods = new Map<string, MethodCounts>();

  /** @param method one of the methods there are: what a client made up is no label of a metric. */
  of(method: string): MethodCounts {
    let counts = this.#methods.get(method);
    if (counts === undefined) this.#methods.set(method, (counts = new MethodCounts()));
    return counts;
  }

  /** Each count with its method and code, 0 for success. */
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
