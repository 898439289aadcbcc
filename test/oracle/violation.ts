/** An answer, or a change, that the contract does not allow. */
export class Violation extends Error {
  override readonly name = 'Violation';
}
