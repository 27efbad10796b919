/** Lets a loop that works for long without waiting for anything be stopped: signals and timers need a turn to be seen. */

const everyMs = 50;

/** Takes a turn of the event loop now and then. */
export class Breath {
  readonly #signal: AbortSignal | undefined;
  #last = performance.now();

  /** @param signal ends the loop */
  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
  }

  /** Cheap enough for every step of a loop. @throws the signal's reason */
  async take(): Promise<void> {
    if (performance.now() - this.#last < everyMs) return;
    await new Promise((resolve) => setImmediate(resolve));
    this.#last = performance.now();
    this.check();
  }

  /** @throws the signal's reason */
  check(): void {
    this.#signal?.throwIfAborted();
  }
}
