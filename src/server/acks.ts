/**
 * Acknowledges what has been received. What has come at once is acknowledged at once: an answer to each frame cost both
 * sides more than taking the frame did.
 */
import type { Upload } from './uploads.ts';

/** See the file's comment. One per connection. */
export class Acks {
  readonly #send: (stream: number, upload: Upload) => void;
  /** Bytes of an object that may wait for their acknowledgement: a part of the window, so that its sender never waits. */
  readonly #bytesMax: number;
  /** Uploads with something to acknowledge, by stream, and what was there before. */
  readonly #due = new Map<number, { readonly upload: Upload; readonly from: number }>();
  #timer: NodeJS.Immediate | undefined;

  /** @param send tells the client how much of an upload is here */
  constructor(send: (stream: number, upload: Upload) => void, windowBytes: number) {
    this.#send = send;
    this.#bytesMax = windowBytes / 4;
  }

  /** An upload has received more: `bytes`, the last ones of what it has. */
  add(stream: number, upload: Upload, bytes: number): void {
    const from = this.#due.get(stream)?.from ?? upload.receivedBytes - bytes;
    if (upload.receivedBytes - from >= this.#bytesMax) {
      this.#due.delete(stream);
      this.#send(stream, upload);
      return;
    }
    this.#due.set(stream, { upload, from });
    this.#timer ??= setImmediate(() => this.#sendAll());
  }

  /** What the stream brought needs no acknowledgement any more: a last answer follows. */
  drop(stream: number): void {
    this.#due.delete(stream);
  }

  #sendAll(): void {
    this.#timer = undefined;
    for (const [stream, { upload }] of this.#due) this.#send(stream, upload);
    this.#due.clear();
  }
}
