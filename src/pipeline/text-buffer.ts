/** Text that grows for long and is kept as bytes: millions of small strings would take far more. ASCII only. */

const firstBytes = 64 * 1024;

/** See the file's comment. */
export class TextBuffer {
  #bytes: Buffer = Buffer.allocUnsafeSlow(firstBytes);
  #length = 0;

  /** Appends ASCII text. */
  add(text: string): void {
    if (this.#length + text.length > this.#bytes.byteLength) {
      const larger = Buffer.allocUnsafeSlow(2 * (this.#length + text.length));
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    this.#length += this.#bytes.write(text, this.#length, 'latin1');
  }

  /** All of it, in memory of its own length. */
  take(): Uint8Array {
    return new Uint8Array(this.#bytes.subarray(0, this.#length));
  }
}
