/**
 * Connections inside one process, with faults at exact byte positions: the transport of tests and simulations. Bytes are
 * copied, as a kernel would, so that a sender may use its memory again.
 */
import { Duplex } from 'node:stream';

/** What happens to the bytes of one direction. */
export interface Fault {
  /** After this many bytes both ends are cut off. */
  readonly cutAt?: number;
  /** After this many bytes nothing arrives any more, and nobody is told. */
  readonly stallAt?: number;
  /** Bytes per second; as fast as possible when not given. */
  readonly rate?: number;
}

/** Faults of what the first and what the second end sends. */
export type Faults = readonly [Fault?, Fault?] | readonly [undefined, Fault];

/** Two ends of a connection. */
export function loopback(faults: Faults = []): [Duplex, Duplex] {
  const first = new End(faults[0] ?? {});
  const second = new End(faults[1] ?? {});
  first.peer = second;
  second.peer = first;
  return [first, second];
}

class End extends Duplex {
  peer: End | undefined;
  readonly #fault: Fault;
  #passed = 0;
  #wanted: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(fault: Fault) {
    super({ allowHalfOpen: false });
    this.#fault = fault;
  }

  override _read(): void {
    const wanted = this.#wanted;
    this.#wanted = undefined;
    wanted?.();
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    const { cutAt = Infinity, stallAt = Infinity, rate } = this.#fault;
    const passes = chunk.subarray(0, Math.max(0, Math.min(cutAt, stallAt) - this.#passed));
    this.#passed += passes.length;
    const next = (): void => {
      if (this.#passed >= cutAt) this.#cut();
      // Swallowed, and never said to be sent.
      else if (passes.length === chunk.length) done();
    };
    if (rate === undefined) this.#deliver(Buffer.from(passes), next);
    else this.#drip(Buffer.from(passes), rate, next);
  }

  override _final(done: () => void): void {
    if (this.#passed < (this.#fault.stallAt ?? Infinity)) this.peer?.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    clearTimeout(this.#timer);
    const peer = this.peer;
    this.peer = undefined;
    // A black hole tells nobody.
    if (peer !== undefined && this.#passed < (this.#fault.stallAt ?? Infinity)) {
      setImmediate(() => peer.destroy());
    }
    done(error);
  }

  #cut(): void {
    const { peer } = this;
    this.destroy();
    peer?.destroy();
  }

  #deliver(bytes: Buffer, next: () => void): void {
    const { peer } = this;
    if (bytes.length === 0 || peer === undefined || peer.destroyed) setImmediate(next);
    else if (peer.push(bytes)) setImmediate(next);
    else peer.#wanted = next;
  }

  #drip(bytes: Buffer, rate: number, next: () => void): void {
    if (bytes.length === 0) {
      next();
      return;
    }
    const count = Math.min(bytes.length, Math.max(1, Math.floor(rate / 10)));
    const drip = (): void => {
      this.peer?.push(bytes.subarray(0, count));
      this.#drip(bytes.subarray(count), rate, next);
    };
    this.#timer = setTimeout(drip, (1000 * count) / rate);
  }
}
