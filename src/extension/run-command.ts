/**
 * Runs a program that the user named: no shell, no standard input, a process group of its own that ends as a whole
 * when its time is over, and bounded output. The environment is given by the caller; nothing is inherited.
 */
import { spawn } from 'node:child_process';

/** What to run. */
export interface CommandRun {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Bytes of output that are kept: the last ones of both streams. With `stdoutOnly` more of it ends the program. */
  readonly outputMax: number;
  readonly stdoutOnly?: boolean;
}

/** How it ended. */
export interface CommandEnd {
  readonly output: Buffer;
  /** Whether there was more output than was kept. */
  readonly cut: boolean;
  /** What was wrong, for people; undefined after exit code 0. */
  readonly problem: string | undefined;
  readonly exitCode: number | undefined;
}

const graceMs = 2000;
/** Background processes may keep the pipes open for ever: output that comes this late is not waited for. */
const drainMs = 200;

/** Runs it; never rejects. */
export function runCommand(run: CommandRun): Promise<CommandEnd> {
  const [file = '', ...rest] = run.command;
  return new Promise((resolve) => {
    const kept = new Kept(run.outputMax, run.stdoutOnly === true);
    let stopped: string | undefined;
    const stdio = ['ignore', 'pipe', run.stdoutOnly === true ? 'inherit' : 'pipe'] as const;
    const child = spawn(file, rest, { env: { ...run.env }, detached: true, stdio: [...stdio] });
    const kill = (signal: NodeJS.Signals): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, signal);
      } catch {
        // It has ended by itself.
      }
    };
    let hard: NodeJS.Timeout | undefined;
    const stop = (why: string): void => {
      stopped ??= why;
      kill('SIGTERM');
      hard ??= setTimeout(() => kill('SIGKILL'), graceMs);
    };
    const timer = setTimeout(() => stop(`took longer than ${run.timeoutMs / 1000} s`), run.timeoutMs);
    const onAbort = (): void => stop('was stopped');
    const onExit = (): void => kill('SIGKILL');
    run.signal?.addEventListener('abort', onAbort, { once: true });
    if (run.signal?.aborted) onAbort();
    process.once('exit', onExit);
    child.stdout?.on('data', (bytes: Buffer) => {
      kept.add(bytes);
      if (kept.full) stop('printed too much');
    });
    child.stderr?.on('data', (bytes: Buffer) => kept.add(bytes));
    let ended = false;
    const end = (problem: string | undefined, exitCode?: number): void => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      clearTimeout(hard);
      // What ignored SIGTERM, or was left behind in the group, goes when its time was over.
      if (stopped !== undefined) kill('SIGKILL');
      run.signal?.removeEventListener('abort', onAbort);
      process.removeListener('exit', onExit);
      child.stdout?.destroy();
      child.stderr?.destroy();
      resolve({ output: kept.bytes(), cut: kept.cut, problem: stopped ?? problem, exitCode });
    };
    child.on('error', (error: NodeJS.ErrnoException) =>
      end(error.code === 'ENOENT' ? 'was not found' : `cannot be started: ${error.message}`),
    );
    child.on('exit', (code, signal) => {
      const problem =
        code === 0 ? undefined : code === null ? `was ended by ${signal}` : `ended with exit code ${code}`;
      const finish = (): void => end(problem, code ?? undefined);
      child.on('close', finish);
      setTimeout(finish, drainMs);
    });
  });
}

/** Keeps the first or the last bytes of a stream. */
class Kept {
  cut = false;
  readonly #max: number;
  readonly #first: boolean;
  #pieces: Buffer[] = [];
  #length = 0;

  constructor(max: number, first: boolean) {
    this.#max = max;
    this.#first = first;
  }

  /** Whether no more is wanted. */
  get full(): boolean {
    return this.#first && this.cut;
  }

  add(bytes: Buffer): void {
    const piece = this.#first ? bytes.subarray(0, this.#max - this.#length) : bytes.subarray(-this.#max);
    if (piece.length < bytes.length) this.cut = true;
    this.#pieces.push(piece);
    this.#length += piece.length;
    while (this.#length > this.#max) {
      const head = this.#pieces[0]!;
      const over = Math.min(head.length, this.#length - this.#max);
      if (over === head.length) this.#pieces.shift();
      else this.#pieces[0] = head.subarray(over);
      this.#length -= over;
      this.cut = true;
    }
  }

  bytes(): Buffer {
    return Buffer.concat(this.#pieces);
  }
}
