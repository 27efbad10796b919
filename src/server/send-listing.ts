/** Sends a listing in parts. After the first two parts the client asks for each further one, so that little is held. */
import { KiB } from '../base/limits.ts';
import type { Connection } from '../net/connection.ts';
import { frameType, protocolError } from '../net/frame.ts';
import { formatItems, type Item, type Message, optionalTextOf, textOf } from '../net/messages.ts';
import type { Storage } from '../storage/index.ts';

/** Bytes of one part, at most; a frame may have 64 KiB. */
const partBytes: number = 48 * KiB;
const prefixShape = /^[A-Za-z0-9._/-]*$/;

/** A listing that runs. */
export interface Listing {
  /** Lets it go on by one part. */
  next?: () => void;
  /** Whether it waits for the client. */
  blocked: boolean;
}

/** @param listing is kept up to date, for the session */
export async function sendListing(
  connection: Connection,
  storage: Storage,
  stream: number,
  message: Message,
  listing: Listing,
): Promise<void> {
  const prefix = textOf(message, 'prefix', 300);
  const after = optionalTextOf(message, 'after', 300);
  if (!prefixShape.test(prefix) || prefix.startsWith('/') || prefix.includes('..')) {
    throw protocolError('a prefix that no object has');
  }
  let items: Item[] = [];
  let bytes = 0;
  let credit = 2;
  let wake: (() => void) | undefined;
  // The client may ask before it is waited for.
  listing.next = () => {
    credit += 1;
    wake?.();
  };
  for await (const { name, sizeBytes, timeMs } of storage.list(prefix, { after })) {
    if (connection.closed) return;
    items.push([name, sizeBytes, timeMs]);
    bytes += name.length + 40;
    if (bytes < partBytes) continue;
    connection.send(frameType.items, stream, [formatItems(items)]);
    items = [];
    bytes = 0;
    credit -= 1;
    while (credit <= 0 && !connection.closed) {
      listing.blocked = true;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    listing.blocked = false;
    wake = undefined;
  }
  if (items.length > 0) connection.send(frameType.items, stream, [formatItems(items)]);
}
