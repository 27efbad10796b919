/** Where records of compacted packs are now (SPEC, "Index, moved, mark, drop"), for the check. */
import { movedChainMax } from '../base/limits.ts';
import { reject } from '../format/reject.ts';
import type { VLine } from '../schema/index.ts';

/** A record of a pack. */
export interface RecordPlace {
  readonly pack: string;
  readonly record: number;
  /** Writer that counts for it: of the first moved object on the way; undefined when it was not moved. */
  readonly writer: string | undefined;
}

interface Move {
  readonly first: number;
  readonly count: number;
  readonly pack: string;
  readonly newFirst: number;
  readonly writer: string;
}

/** All moved objects together. */
export class Forwarding {
  readonly #moves = new Map<string, Move[]>();

  /** Adds a `V` line of a moved object. */
  add(from: string, writer: string, line: VLine): void {
    const [, first, count, pack, newFirst] = line;
    const moves = this.#moves.get(from) ?? [];
    moves.push({ first, count, pack, newFirst, writer });
    this.#moves.set(from, moves);
  }

  /** Whether a moved object names this pack as the old one. */
  has(pack: string): boolean {
    return this.#moves.has(pack);
  }

  /** Packs that records of a pack went to, directly. */
  targets(pack: string): string[] {
    return (this.#moves.get(pack) ?? []).map((move) => move.pack);
  }

  /**
   * Where a record is.
   * @param present whether a pack exists
   * @throws BackpackError E_MISSING, E_MOVED
   */
  resolve(pack: string, record: number, present: (pack: string) => boolean): RecordPlace {
    let place: RecordPlace = { pack, record, writer: undefined };
    for (let step = 0; !present(place.pack); step += 1) {
      if (step === movedChainMax)
        throw reject('E_MOVED', `record ${record} was moved more than ${movedChainMax} times`);
      const { pack: at, record: ordinal } = place;
      const moves =
        this.#moves.get(at)?.filter((m) => m.first <= ordinal && ordinal < m.first + m.count) ?? [];
      const move = moves.find((one) => present(one.pack)) ?? moves[0];
      if (move === undefined) throw reject('E_MISSING', 'the pack is missing and its records were not moved');
      place = {
        pack: move.pack,
        record: move.newFirst + ordinal - move.first,
        writer: place.writer ?? move.writer,
      };
    }
    return place;
  }
}
