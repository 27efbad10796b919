/**
 * Bytes of unknown length: an open descriptor (standard input) or what a program writes to its standard output. Reading
 * never blocks the thread, so that a run can be stopped while nothing comes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createReadStream, existsSync, fstatSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { BackpackError } from '../base/errors.ts';

/** Where the bytes come from: plain data that can be posted to a thread. */
export type StreamSource =
  | { readonly fd: number }
  | {
      /** The program and its arguments; no shell is between. */
      readonly command: readonly [string, ...string[]];
      readonly cwd: string;
      readonly env: Readonly<Record<string, string>>;
    };

interface Failure {
  readonly message: string;
  readonly hint: string;
}

/** A program that did not even start, so that it has written nothing. */
function notStarted(program: string, { code, message }: NodeJS.ErrnoException): Failure {
  const fail = (why: string, next: string): Failure => ({
    message: `cannot run ${program}: ${why}`,
    hint: `${next}; no snapshot was made`,
  });
  if (code === 'EACCES') return fail('it may not be executed', `see ls -l ${program}`);
  if (code !== 'ENOENT') return fail(message, 'give another program');
  if (program.includes('/') && existsSync(program))
    return fail('the interpreter in its first line was not found', 'install that, or correct the line');
  return /\s/.test(program)
    ? fail(
        'no such program was found',
        'give its arguments as words of their own: --command -- PROGRAM ARGUMENTS',
      )
    : fail('no such program was found', 'check its name, or give its whole path');
}

/** See the file's comment. */
export class ByteStream {
  readonly #readable: Readable;
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #child: ChildProcess | undefined;
  readonly #exit: Promise<Failure | undefined>;
  readonly #name: string;
  #rest: Buffer = Buffer.alloc(0);
  #stopped: unknown;

  /** Opens it; a program is started. */
  constructor(source: StreamSource) {
    if ('fd' in source) {
      this.#name = 'standard input';
      const kind = fstatSync(source.fd);
      this.#readable =
        kind.isFIFO() || kind.isSocket()
          ? new Socket({ fd: source.fd, readable: true, writable: false })
          : createReadStream('', { fd: source.fd, autoClose: false });
      this.#exit = Promise.resolve(undefined);
    } else {
      const [program, ...args] = source.command;
      this.#name = program;
      const { cwd, env } = source;
      const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'inherit'] });
      this.#child = child;
      this.#readable = child.stdout;
      this.#exit = new Promise((resolve) => {
        child.once('error', (error) => resolve(notStarted(program, error)));
        child.once('close', (code, signal) => {
          if (code === 0) return resolve(undefined);
          const message = `${program} ended with ${code === null ? signal : `exit code ${code}`}`;
          resolve({ message, hint: 'see what it wrote above; no snapshot was made' });
        });
      });
    }
    this.#chunks = this.#readable[Symbol.asyncIterator]();
  }

  /**
   * Reads some bytes into the front of `target`.
   * @returns how many; 0 at the end
   * @throws BackpackError BP_SOURCE_READ, or why it was stopped
   */
  async read(target: Uint8Array): Promise<number> {
    if (this.#rest.length === 0) {
      const next = await this.#next();
      if (next === undefined) return 0;
      this.#rest = next;
    }
    const length = Math.min(this.#rest.length, target.length);
    target.set(this.#rest.subarray(0, length));
    this.#rest = this.#rest.subarray(length);
    return length;
  }

  /** Waits for the program to end. @throws BackpackError BP_COMMAND_FAILED when it did not end well */
  async finish(): Promise<void> {
    const failure = await this.#exit;
    if (this.#stopped !== undefined) throw this.#stopped;
    if (failure === undefined) return;
    const { message, hint } = failure;
    throw new BackpackError('BP_COMMAND_FAILED', message, { kind: 'source', hint });
  }

  /** Ends reading, and the program. */
  stop(reason: unknown): void {
    this.#stopped ??= reason;
    this.#child?.kill('SIGTERM');
    this.#readable.destroy();
  }

  async #next(): Promise<Buffer | undefined> {
    let failure: unknown;
    try {
      const { value, done } = await this.#chunks.next();
      if (this.#stopped === undefined) return done === true ? undefined : value;
    } catch (error) {
      failure = error;
    }
    if (this.#stopped !== undefined) throw this.#stopped;
    throw new BackpackError('BP_SOURCE_READ', `${this.#name}: ${(failure as Error).message}`, {
      kind: 'source',
      cause: failure,
    });
  }
}
