/** Sends an object, or a range of one, in `data` frames behind a `size` frame. */
import { BackpackError } from '../base/errors.ts';
import { KiB } from '../base/limits.ts';
import type { Connection } from '../net/connection.ts';
import { frameType } from '../net/frame.ts';
import { formatOffset, type Message, optionalCountOf } from '../net/messages.ts';
import type { Storage } from '../storage/index.ts';
import { type BlockPool, blockBytes } from './block-pool.ts';
import { guardRead } from './read-guard.ts';
import type { Role } from './rights.ts';

/** Bytes read from the storage at once, when no block is free for them. */
const readBytes: number = 128 * KiB;
/** Bytes of a frame: small enough for a slow line to finish one in time. */
const frameMax: number = 256 * KiB;
const frameMin: number = 4 * KiB;

/** What the answer needs. */
export interface SendContext {
  readonly connection: Connection;
  readonly storage: Storage;
  readonly stream: number;
  readonly role: Role;
  readonly pool: BlockPool;
  /** Whether the client still wants it. */
  readonly active: () => boolean;
  /** Told of bytes that were sent. */
  readonly sent: (bytes: number) => void;
  /** Runs when the answers before it have been sent. */
  readonly turn: <R>(work: () => Promise<R>) => Promise<R>;
}

/** @throws BackpackError BP_OBJECT_MISSING, BP_STORAGE_SHORT */
export async function sendObject(context: SendContext, name: string, message: Message): Promise<void> {
  const { connection, storage, stream, role, pool } = context;
  const offset = optionalCountOf(message, 'offset') ?? 0;
  const wanted = optionalCountOf(message, 'length');
  let length = wanted;
  if (wanted === undefined || role === 'write-only') {
    const found = await storage.stat(name);
    if (found === undefined) throw missing(name);
    length ??= Math.max(0, found.sizeBytes - offset);
    if (role === 'write-only') await guardRead(storage, name, found.sizeBytes, { offset, length });
  }
  const total = length!;
  const wish = optionalCountOf(message, 'frameBytes') ?? frameMax;
  const frameBytes = Math.min(frameMax, Math.max(frameMin, wish));
  // Small answers are read before anything is said, so that what is missing is an error and not a broken promise.
  let at = 0;
  do {
    if (connection.closed || !context.active()) return;
    await context.turn(async () => {
      const block = pool.take();
      const most = block === undefined ? readBytes : blockBytes;
      const range = { offset: offset + at, length: Math.min(most, total - at) };
      let bytes: Uint8Array;
      try {
        bytes = await storage.get(name, { range, into: block });
      } catch (error) {
        if (block !== undefined) pool.giveBack(block);
        throw error;
      }
      if (at === 0) connection.send(frameType.size, stream, [formatOffset(total)]);
      for (let from = 0; from < bytes.byteLength; from += frameBytes) {
        connection.send(frameType.data, stream, [bytes.subarray(from, from + frameBytes)]);
      }
      if (block !== undefined) void connection.gone().then(() => pool.giveBack(block));
      context.sent(bytes.byteLength);
      at += bytes.byteLength;
      await connection.flushed();
    });
  } while (at < total);
}

function missing(name: string): BackpackError {
  return new BackpackError('BP_OBJECT_MISSING', `${name} is not there`, {
    kind: 'not-found',
    context: { object: name },
    hint: 'run backpack check to see what this affects',
  });
}
