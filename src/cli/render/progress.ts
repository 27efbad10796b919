/**
 * Progress: one line that is redrawn at most ten times a second on a terminal, a plain line every 30 seconds
 * elsewhere, an event every second with --json. Rates are weighted over about 15 seconds; what is not known is null.
 */
import type { Voice } from './output.ts';
import { bytes, count, duration } from './text.ts';

/** State of a run. */
export interface ProgressState {
  /** What is done of the total: read, or found to be done already. */
  readonly bytesDone: number;
  readonly bytesRead: number;
  /** Bytes sent to, or read from, the storage. */
  readonly bytesSent: number;
  readonly filesDone: number;
  readonly bytesTotal: number | null;
  readonly filesTotal: number | null;
}

/** To the first column, and erase the line. */
const eraseLine = '\r\u001b[2K';
const terminalMs = 100;
const plainMs = 30_000;
const jsonMs = 1000;
const weightMs = 15_000;

/** What the rates of bytes read and sent and the things counted are called. */
export interface ProgressWords {
  readonly read: string;
  /** Missing where both are the same. */
  readonly sent?: string;
  readonly items: string;
}

/** Draws the progress of one command. */
export class Progress {
  readonly #voice: Voice;
  readonly #words: ProgressWords;
  readonly #started: number = performance.now();
  readonly #redraws: boolean;
  #drawn = false;
  #last = 0;
  #seq = 0;
  #rates = { at: performance.now(), done: 0, read: 0, sent: 0, doneRate: 0, readRate: 0, sentRate: 0 };

  /** @param words what the two rates are called */
  constructor(voice: Voice, words: ProgressWords) {
    this.#voice = voice;
    this.#words = words;
    this.#redraws = !voice.json && !voice.quiet && voice.context.stderr.isTTY === true;
  }

  /** Shows a state, if it is time to. */
  show(state: ProgressState): void {
    const now = performance.now();
    this.#measure(state, now);
    if (this.#voice.json) {
      if (now - Math.max(this.#last, this.#started) < jsonMs) return;
      this.#seq += 1;
      const { bytesDone, bytesRead, bytesSent, bytesTotal, filesDone, filesTotal } = state;
      const elapsedMs = Math.round(now - this.#started);
      const remainingMs = this.#remainingMs(state);
      this.#voice.event({
        type: 'status',
        seq: this.#seq,
        elapsedMs,
        bytesDone,
        bytesRead,
        bytesSent,
        bytesTotal,
        filesDone,
        filesTotal,
        remainingMs,
      });
    } else if (this.#redraws) {
      if (now - this.#last < terminalMs) return;
      // A pseudo-terminal may say that it has 0 columns.
      const { stderr } = this.#voice.context;
      stderr.write(`${eraseLine}${this.#line(state, (stderr.columns || 80) - 1)}`);
      this.#drawn = true;
    } else {
      if (now - Math.max(this.#last, this.#started) < plainMs) return;
      this.#voice.say(`${this.#line(state, Number.POSITIVE_INFINITY)}\n`);
    }
    this.#last = now;
  }

  /** Takes the line away. */
  done(): void {
    if (this.#drawn) this.#voice.context.stderr.write(eraseLine);
    this.#drawn = false;
  }

  #measure(state: ProgressState, now: number): void {
    const r = this.#rates;
    const passed = now - r.at;
    if (passed < terminalMs) return;
    const weight = 1 - Math.exp(-passed / Math.min(weightMs, Math.max(passed, now - this.#started)));
    const rate = (value: number, before: number, old: number): number =>
      old + weight * (((value - before) * 1000) / passed - old);
    this.#rates = {
      at: now,
      done: state.bytesDone,
      read: state.bytesRead,
      sent: state.bytesSent,
      doneRate: rate(state.bytesDone, r.done, r.doneRate),
      readRate: rate(state.bytesRead, r.read, r.readRate),
      sentRate: rate(state.bytesSent, r.sent, r.sentRate),
    };
  }

  #remainingMs(state: ProgressState): number | null {
    const { doneRate } = this.#rates;
    if (state.bytesTotal === null || doneRate < 1) return null;
    return Math.round((Math.max(0, state.bytesTotal - state.bytesDone) / doneRate) * 1000);
  }

  /** What people look for comes first: what does not fit is left out, from the end. */
  #line(state: ProgressState, columns: number): string {
    const { bytesDone, bytesTotal, filesDone, filesTotal } = state;
    const { readRate, sentRate } = this.#rates;
    const { items, read, sent } = this.#words;
    const share =
      bytesTotal === null || bytesTotal === 0
        ? ''
        : `${String(Math.min(100, Math.floor((100 * bytesDone) / bytesTotal))).padStart(3)}%  `;
    const size = bytesTotal === null ? bytes(bytesDone) : `${bytes(bytesDone)} of ${bytes(bytesTotal)}`;
    const files =
      filesTotal === null
        ? `${count(filesDone)} ${items}`
        : `${count(filesDone)} of ${count(filesTotal)} ${items}`;
    const left = this.#remainingMs(state);
    const parts = [
      `  ${share}${size}`,
      ...(left === null ? [] : [`about ${duration(Math.ceil(left / 1000) * 1000)} left`]),
      `${read} ${bytes(readRate)}/s${sent === undefined ? '' : `  ${sent} ${bytes(sentRate)}/s`}`,
      files,
    ];
    while (parts.length > 1 && parts.join('   ').length > columns) parts.pop();
    return parts.join('   ').slice(0, columns);
  }
}
