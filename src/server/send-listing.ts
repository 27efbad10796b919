/**
 * Sends a listing in parts. After the first two parts the client asks for each further one, so that little is held. A
 * storage may keep a whole folder in memory to list it: few listings are kept while their clients take their time, the
 * others begin anew behind their last name.
 */
import { KiB } from '../base/limits.ts';
import type { Connection } from '../net/connection.ts';
import { frameType, protocolError } from '../net/frame.ts';
import { formatItems, type Item, type Message, optionalTextOf, textOf } from '../net/messages.ts';
import type { ObjectInfo, Storage } from '../storage/index.ts';
import type { Places } from './places.ts';

/** Bytes of one part, at most; a frame may have 64 KiB. */
const partBytes: number = 48 * KiB;
const prefixShape = /^[A-Za-z0-9._/-]*$/;
/** A client that is slower than this has its listing begun anew, ms. */
const keepMs = 2000;

/** A listing that runs. */
export interface Listing {
  /** Lets it go on by one part. */
  next?: () => void;
  /** Whether it waits for the client. */
  blocked: boolean;
}

/** Places for the listings of a server. */
export interface ListingPlaces {
  /** For those that are read now. */
  readonly reading: Places;
  /** For those that are kept for their clients. */
  readonly kept: Places;
}

/** What a listing needs. */
export interface ListingContext {
  readonly connection: Connection;
  readonly storage: Storage;
  readonly stream: number;
  readonly places: ListingPlaces;
  /** Whether the client still wants it. */
  readonly active: () => boolean;
}

/** @param listing is kept up to date, for the session */
export async function sendListing(
  context: ListingContext,
  message: Message,
  listing: Listing,
): Promise<void> {
  const { connection, storage, stream, places, active } = context;
  const prefix = textOf(message, 'prefix', 300);
  let after = optionalTextOf(message, 'after', 300);
  if (!prefixShape.test(prefix) || prefix.startsWith('/') || prefix.includes('..')) {
    throw protocolError('a prefix that no object has');
  }
  const begin = (): AsyncIterator<ObjectInfo> => storage.list(prefix, { after })[Symbol.asyncIterator]();
  let names: AsyncIterator<ObjectInfo> | undefined;
  let credit = 2;
  let wake: (() => void) | undefined;
  // The client may ask before it is waited for.
  listing.next = () => {
    credit += 1;
    wake?.();
  };
  for (;;) {
    names ??= begin();
    const from = names;
    const part = await places.reading.within(() => readPart(from));
    if (!active()) break;
    if (part.items.length > 0) connection.send(frameType.items, stream, [formatItems(part.items)]);
    if (part.last) return;
    after = part.items.at(-1)![0];
    credit -= 1;
    if (credit > 0) continue;
    listing.blocked = true;
    const asked = new Promise<void>((resolve) => {
      wake = resolve;
    });
    if (!(await keptUntil(asked, places.kept))) {
      await names.return?.();
      names = undefined;
      await asked;
    }
    listing.blocked = false;
    wake = undefined;
    if (!active()) break;
  }
  await names?.return?.();
}

/** One part; `last` when nothing follows. */
async function readPart(from: AsyncIterator<ObjectInfo>): Promise<{ items: Item[]; last: boolean }> {
  const items: Item[] = [];
  for (let bytes = 0; bytes < partBytes; ) {
    const { done, value } = await from.next();
    if (done === true) return { items, last: true };
    items.push([value.name, value.sizeBytes, value.timeMs]);
    bytes += value.name.length + 40;
  }
  return { items, last: false };
}

/** Waits with a place. @returns whether the client asked in time */
async function keptUntil(asked: Promise<void>, kept: Places): Promise<boolean> {
  if (!kept.tryTake()) return false;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), keepMs);
  });
  try {
    return await Promise.race([asked.then(() => true), late]);
  } finally {
    clearTimeout(timer);
    kept.giveBack();
  }
}
