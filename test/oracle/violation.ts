/** An answer, or a change, that the contract does not allow. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

/** @throws Violation unless `holds`. */
export function demand(holds: boolean, text: () => string): asserts holds {
  if (!holds) throw new Violation(text());
}
