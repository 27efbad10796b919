/** Limits of a server: what a client may make it hold, and how long it may keep it waiting. */
import { MiB } from '../base/limits.ts';

/** See the file's comment. Times in ms. */
export interface ServerLimits {
  /** From the first byte of a connection to the end of the handshake. */
  readonly handshakeMs: number;
  /** From the handshake to the `open` frame. */
  readonly openMs: number;
  /** A connection without a frame and without a running request. */
  readonly idleMs: number;
  /** Bytes that wait to be sent without any of them going. */
  readonly stallMs: number;
  /** What a frame may take beyond what its length explains. */
  readonly graceMs: number;
  /** How long an unfinished object is kept for a client that has lost its connection. */
  readonly parkMs: number;
  /** A client is told that its request is still in work. */
  readonly waitMs: number;
  /** How often users are looked up again, for those that were removed. */
  readonly accountsMs: number;
  /** Connections that have not finished the handshake; beyond it the oldest is dropped. */
  readonly pendingMax: number;
  /** Connections that have. */
  readonly sessionsMax: number;
  /** Of these for one user. */
  readonly sessionsPerUserMax: number;
  /** Requests at once in one connection. */
  readonly streamsMax: number;
  /** Unacknowledged bytes of one object. */
  readonly windowBytes: number;
  /** Bytes held for all connections; beyond it the slowest is dropped. */
  readonly heldBytesMax: number;
  /** Blocks of 1 MiB through which content passes; without one it passes more slowly. */
  readonly blocksMax: number;
  /** Unfinished objects, each with a file that is open. */
  readonly uploadsMax: number;
  /** Of these for one user. */
  readonly uploadsPerUserMax: number;
  /** Bytes of unfinished objects that are to replace others: they are kept in memory. */
  readonly replacingBytesMax: number;
  /** Of these for one user. */
  readonly replacingBytesPerUserMax: number;
  /** Answers that wait to be sent on one connection; beyond it nothing more is read from it. */
  readonly unsentMax: number;
  /** Listings under way; the others wait, or begin anew behind their last name. */
  readonly listingsMax: number;
  /** Unfinished objects of clients that have lost their connection. */
  readonly parkedMax: number;
}

export const defaultLimits: ServerLimits = {
  handshakeMs: 5000,
  openMs: 5000,
  idleMs: 60_000,
  stallMs: 60_000,
  graceMs: 10_000,
  parkMs: 120_000,
  waitMs: 5000,
  accountsMs: 5000,
  pendingMax: 512,
  sessionsMax: 1024,
  sessionsPerUserMax: 256,
  streamsMax: 64,
  windowBytes: 8 * MiB,
  heldBytesMax: 128 * MiB,
  blocksMax: 48,
  uploadsMax: 512,
  uploadsPerUserMax: 128,
  replacingBytesMax: 64 * MiB,
  replacingBytesPerUserMax: 32 * MiB,
  unsentMax: 1024,
  listingsMax: 8,
  parkedMax: 256,
};
