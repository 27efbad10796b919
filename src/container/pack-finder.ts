/**
 * Finds the record that a snapshot names: in the pack itself, or where moved objects say it went (SPEC, "Moved").
 * Several moved objects for one pack count together; a chain has at most 8 steps.
 */
import { isBackpackError } from '../base/errors.ts';
import { movedChainMax } from '../base/limits.ts';
import type { Extent } from '../format/extents.ts';
import { decodeText } from '../format/json-lines.ts';
import { type Kind, packName, parseContainerName } from '../format/names.ts';
import { reject } from '../format/reject.ts';
import { parseMoved } from '../format/streams.ts';
import { ContainerReader, type ReadContext, withObject } from './container-reader.ts';

/** A record of an open pack. */
export interface PackRecord {
  readonly reader: ContainerReader;
  readonly record: number;
}

/** Consecutive records of one open pack, or a part of one record. */
export interface PackPiece extends PackRecord {
  readonly count: number;
  /** Bytes of the file. */
  readonly length: number;
  /** Start in the record's plaintext. */
  readonly offset: number;
}

interface Move {
  readonly first: number;
  readonly count: number;
  readonly pack: string;
  readonly newFirst: number;
  readonly writer: string;
}

/** Reads a whole stream of lines: all records of a container, joined. @throws BackpackError with a reason code */
export async function readText(context: ReadContext, name: string, sizeBytes?: number): Promise<string> {
  try {
    const reader = await ContainerReader.open(context, name, sizeBytes === undefined ? {} : { sizeBytes });
    const records: Buffer[] = [];
    for (let i = 0; i < reader.records; i += 1) records.push(await reader.read(i));
    return decodeText(Buffer.concat(records));
  } catch (error) {
    throw withObject(error, name);
  }
}

/** See the file's comment. */
export class PackFinder {
  readonly #context: ReadContext;
  readonly #kind: Kind;
  readonly #packsMax: number;
  readonly #packs = new Map<string, Promise<ContainerReader>>();
  readonly #moves = new Map<string, Promise<readonly Move[]>>();
  #movedNames: Promise<ReadonlyMap<string, readonly string[]>> | undefined;

  /**
   * @param kind the only kind of pack that is accepted
   * @param packsMax how many packs are kept open
   */
  constructor(context: ReadContext, kind: 'data' | 'meta', packsMax: number) {
    this.#context = context;
    this.#kind = kind;
    this.#packsMax = packsMax;
  }

  /**
   * Where a record is now.
   * @param writer the only writer whose packs are allowed: of the pack, or of the old pack in the moved object;
   * undefined: any
   * @throws BackpackError E_MISSING, E_MOVED, E_WRITER, E_KIND and what opening a container throws
   */
  async find(pack: string, record: number, writer: string | undefined): Promise<PackRecord> {
    let at = pack;
    let ordinal = record;
    for (let step = 0; ; step += 1) {
      const reader = await this.#open(at);
      if (reader !== undefined) {
        if (reader.header.kind !== this.#kind)
          throw reject('E_KIND', `the pack is not of kind ${this.#kind}`, { object: reader.name });
        // Only holders of the root write moved objects, so behind one the new pack's writer does not matter.
        if (step === 0 && writer !== undefined && reader.header.writer !== writer)
          throw reject('E_WRITER', 'the pack belongs to another writer than the snapshot', {
            object: reader.name,
          });
        return { reader, record: ordinal };
      }
      const object = packName(pack);
      const all = (await this.#movesOf(at)).filter((m) => m.first <= ordinal && ordinal < m.first + m.count);
      const move = (await this.#present(all)) ?? all[0];
      if (move === undefined) {
        const lost = step === 0 ? 'is missing' : `was moved to ${at}, which is missing`;
        throw reject('E_MISSING', `${object} ${lost}`, { object, record });
      }
      if (step === movedChainMax)
        throw reject('E_MOVED', `record ${record} was moved more than ${movedChainMax} times`, {
          object,
          record,
        });
      if (step === 0 && writer !== undefined && move.writer !== writer)
        throw reject('E_WRITER', 'the moved pack belongs to another writer than the snapshot', { object });
      ordinal = move.newFirst + ordinal - move.first;
      at = move.pack;
    }
  }

  /** Begins to open packs that are asked for soon. What is wrong with them is told when they are asked for. */
  begin(packs: Iterable<string>): void {
    for (const pack of packs) this.#open(pack).catch(() => {});
  }

  /** The pieces of an extent: one, or more when its records were moved apart. @throws BackpackError as {@link find} */
  async pieces(extent: Extent, writer: string): Promise<PackPiece[]> {
    const { pack, record, count, length, offset } = extent;
    const first = await this.find(pack, record, writer);
    if (count === 1 || first.reader.header.id === pack) return [{ ...first, count, length, offset }];
    const pieces: PackPiece[] = [];
    let left = length;
    for (let i = 0; i < count; i += 1) {
      const found = await this.find(pack, record + i, writer);
      const whole = found.reader.table.lengths[found.record];
      if (whole === undefined || whole > left)
        throw reject('E_EXTENT', 'moved records do not fit their extent');
      left -= whole;
      pieces.push({ ...found, count: 1, length: whole, offset: 0 });
    }
    if (left > 0) throw reject('E_EXTENT', 'moved records do not fit their extent');
    return pieces;
  }

  async #open(id: string): Promise<ContainerReader | undefined> {
    let reader = this.#packs.get(id);
    const isOpen = reader !== undefined;
    // The one that was asked for longest ago goes first.
    if (isOpen) this.#packs.delete(id);
    reader ??= ContainerReader.open(this.#context, packName(id));
    this.#packs.set(id, reader);
    if (!isOpen && this.#packs.size > this.#packsMax) this.#packs.delete(this.#packs.keys().next().value!);
    try {
      return await reader;
    } catch (error) {
      if (isBackpackError(error) && error.code === 'E_MISSING') return undefined;
      throw error;
    }
  }

  async #present(moves: readonly Move[]): Promise<Move | undefined> {
    if (moves.length < 2) return undefined;
    for (const move of moves) {
      if ((await this.#context.storage.stat(packName(move.pack))) !== undefined) return move;
    }
    return undefined;
  }

  #movesOf(pack: string): Promise<readonly Move[]> {
    let moves = this.#moves.get(pack);
    if (moves === undefined) {
      moves = this.#readMoves(pack);
      this.#moves.set(pack, moves);
    }
    return moves;
  }

  async #readMoves(pack: string): Promise<readonly Move[]> {
    this.#movedNames ??= listMoved(this.#context);
    const moves: Move[] = [];
    let failure: unknown;
    for (const name of (await this.#movedNames).get(pack) ?? []) {
      try {
        const moved = parseMoved(await readText(this.#context, name));
        if (moved.from !== pack)
          throw reject('E_NAME', 'a moved object names another pack inside', { object: name });
        for (const [, first, count, to, newFirst] of moved.moves)
          moves.push({ first, count, pack: to, newFirst, writer: moved.writer });
      } catch (error) {
        // Another object may say the same; without it the records are missing, and this is why.
        failure ??= withObject(error, name);
      }
    }
    if (moves.length === 0 && failure !== undefined) throw failure;
    return moves;
  }
}

/** Names of the moved objects, by old pack. */
async function listMoved({ storage }: ReadContext): Promise<ReadonlyMap<string, readonly string[]>> {
  const names = new Map<string, string[]>();
  for await (const { name } of storage.list('moved/')) {
    const from = parseContainerName(name)?.from;
    if (from !== undefined) names.set(from, [...(names.get(from) ?? []), name]);
  }
  return names;
}
