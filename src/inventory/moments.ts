/** The order in which looks begin, are taken in, and questions are asked: what was begun earlier cannot answer. */
export class Moments {
  /** When the look began whose answer is being taken in. */
  lookBegan = 0;
  #last = 0;

  /** Later than all moments so far. */
  next(): number {
    return ++this.#last;
  }
}
