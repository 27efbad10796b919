/**
 * Sends a listing in parts. After the first two parts the client asks for each further one, so that little is held. A
 * storage keeps thousands of names in memory to list a folder in order: few listings are under way at a time. The others
 * wait for a place; one whose client takes its time, or that has had its place for long, gives it up, and goes on behind
 * its last name later.
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
/** The same, while others wait for a place. */
const keepWantedMs = 100;
/** How long a listing has its place while others wait, ms. */
const sliceMs = 5000;

/** A listing that runs. */
export interface Listing {
  /** Lets it go on by one part. */
  next?: () => void;
  /** Whether it waits for the client. */
  blocked: boolean;
}

/** Places for the listings of a server. */
export interface ListingPlaces {
  /** For those that are read at this moment. */
  readonly reading: Places;
  /** For those that are under way. */
  readonly live: Places;
}

/** What a listing needs. */
export interface ListingContext {
  readonly connection: Connection;
  readonly storage: Storage;
  readonly stream: number;
  readonly places: ListingPlaces;
  /** Whose listing it is. */
  readonly user: string;
  /** Whether the client still wants it. */
  readonly active: () => boolean;
}

/** @param listing is kept up to date, for the session */
export async function sendListing(
  context: ListingContext,
  message: Message,
  listing: Listing,
): Promise<void> {
  const { connection, storage, stream, places, user, active } = context;
  const prefix = textOf(message, 'prefix', 300);
  let after = optionalTextOf(message, 'after', 300);
  if (!prefixShape.test(prefix) || prefix.startsWith('/') || prefix.includes('..')) {
    throw protocolError('a prefix that no object has');
  }
  let credit = 2;
  let wake: (() => void) | undefined;
  // The client may ask before it is waited for.
  listing.next = () => {
    credit += 1;
    wake?.();
  };
  /** Sends parts with a place. @returns whether that was the last one */
  const sendSome = async (): Promise<boolean> => {
    const names = storage.list(prefix, { after })[Symbol.asyncIterator]();
    const since = performance.now();
    try {
      do {
        const part = await places.reading.within(user, () => readPart(names));
        if (!active()) return true;
        if (part.items.length > 0) connection.send(frameType.items, stream, [formatItems(part.items)]);
        if (part.last) return true;
        after = part.items.at(-1)![0];
        credit -= 1;
        if (places.live.wanted && performance.now() - since > sliceMs) return false;
      } while (credit > 0 || (await askedSoon()));
      return false;
    } finally {
      await names.return?.();
    }
  };
  const asked = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = Number.isFinite(ms) ? setTimeout(resolve, ms) : undefined;
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  /** Waits for the client with a place. @returns whether it asked in time */
  const askedSoon = async (): Promise<boolean> => {
    listing.blocked = true;
    for (let waited = 0; waited < keepMs && active(); waited += keepWantedMs) {
      await asked(keepWantedMs);
      if (credit > 0 || places.live.wanted) break;
    }
    listing.blocked = false;
    return credit > 0 && active();
  };
  for (let last = false; !last && active(); ) {
    await places.live.take(user);
    try {
      last = !active() || (await sendSome());
    } finally {
      places.live.giveBack();
    }
    if (last || credit > 0) continue;
    listing.blocked = true;
    await asked(Infinity);
    listing.blocked = false;
  }
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
