/** Some numbers, of which it can be told at once that most others are not among them. */
export class Few {
  readonly #bits = new Uint8Array(64);

  add(value: number): void {
    this.#bits[value & 63] = 1;
  }

  /** false: the number was not added. */
  mayHave(value: number): boolean {
    return this.#bits[value & 63] === 1;
  }
}
