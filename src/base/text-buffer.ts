/**
 * Text that grows for long and is kept as bytes: millions of small strings would take far more, and cost more to make
 * than the bytes they end as.
 */

const firstBytes = 64 * 1024;
const zero = 48;
/** A call of the system's copy costs more than this many characters one by one. */
const shortMax = 32;

/** The two ASCII digits of each byte, the first one in the low half. */
const hexPairs: Uint16Array = Uint16Array.from({ length: 256 }, (_, byte) => {
  const text = byte.toString(16).padStart(2, '0');
  return text.charCodeAt(0) | (text.charCodeAt(1) << 8);
});

/** See the file's comment. */
export class TextBuffer {
  #bytes: Buffer;
  #length = 0;

  /** @param room bytes to begin with */
  constructor(room: number = firstBytes) {
    this.#bytes = Buffer.allocUnsafeSlow(room);
  }

  /** Bytes so far. */
  get length(): number {
    return this.#length;
  }

  /** Appends ASCII text. */
  add(text: string): void {
    const { length } = text;
    this.#room(length);
    const at = this.#length;
    if (length > shortMax) this.#bytes.write(text, at, 'latin1');
    else for (let i = 0; i < length; i += 1) this.#bytes[at + i] = text.charCodeAt(i);
    this.#length = at + length;
  }

  /** Appends any text, as UTF-8. */
  addUtf8(text: string): void {
    // 3 bytes a character is the most that UTF-8 needs.
    this.#room(3 * text.length);
    this.#length += this.#bytes.write(text, this.#length, 'utf8');
  }

  /** Appends text that is bytes already. */
  addBytes(bytes: Uint8Array): void {
    this.#room(bytes.byteLength);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.byteLength;
  }

  /** Appends what is in another one, from its byte `start` on. */
  addAll(other: TextBuffer, start = 0): void {
    this.#room(other.#length - start);
    this.#length += other.#bytes.copy(this.#bytes, this.#length, start, other.#length);
  }

  /** Appends a whole number from 0 up to 2^53. */
  addNumber(value: number): void {
    let digits = 1;
    for (let ten = 10; ten <= value; ten *= 10) digits += 1;
    this.#room(digits);
    const bytes = this.#bytes;
    let at = this.#length + digits;
    this.#length = at;
    let rest = value;
    do {
      const next = Math.floor(rest / 10);
      at -= 1;
      bytes[at] = zero + (rest - 10 * next);
      rest = next;
    } while (rest > 0);
  }

  /** Appends bytes as lower-case hex. */
  addHex(from: Uint8Array): void {
    this.#room(2 * from.length);
    const bytes = this.#bytes;
    let at = this.#length;
    for (let i = 0; i < from.length; i += 1) {
      const pair = hexPairs[from[i]!]!;
      bytes[at] = pair & 0xff;
      bytes[at + 1] = pair >> 8;
      at += 2;
    }
    this.#length = at;
  }

  /** A view of all of it, good until more is added. */
  get view(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Starts over with the memory that there is. */
  clear(): void {
    this.#length = 0;
  }

  /** Forgets what is behind the first `length` bytes. */
  cut(length: number): void {
    this.#length = Math.min(this.#length, length);
  }

  /** All of it, in shared memory of its own length: it can be posted to another thread without being copied. */
  take(): Uint8Array {
    const bytes = new Uint8Array(new SharedArrayBuffer(this.#length));
    bytes.set(this.view);
    return bytes;
  }

  #room(more: number): void {
    if (this.#length + more <= this.#bytes.byteLength) return;
    const larger = Buffer.allocUnsafeSlow(2 * (this.#length + more));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}
