/**
 * Opens a container and its records, in the order of SPEC "Reader's duties": name and header, commitment, trailer
 * bounds, table, record. Nothing from storage is believed before its tag is checked, and no length is used to
 * allocate before it is bounded.
 */
import type { KeyObject } from 'node:crypto';
import { isBackpackError } from '../base/errors.ts';
import { blockBytes, containerMax, KiB, tablePlainMax, tagBytes } from '../base/limits.ts';
import { open, recordDomain, tableDomain } from '../codec/aead.ts';
import { formatTrailer, type Header, parseHeader, parseTrailer, type TrailerHint } from '../format/header.ts';
import { decodeText } from '../format/json-lines.ts';
import { type ContainerName, parseContainerName } from '../format/names.ts';
import { reject } from '../format/reject.ts';
import { type PackTable, parseTable } from '../format/table.ts';
import type { Storage } from '../storage/storage.ts';
import type { Keyring } from './keyring.ts';
import { headerCandidates, tableCandidates } from './mend.ts';
import type { ReaderMemory } from './reader-memory.ts';

/** What reading needs. */
export interface ReadContext {
  readonly storage: Storage;
  readonly keyring: Keyring;
  readonly memory: ReaderMemory;
  /** Whether a damaged header or trailer is made good from the other, as a restore wants it; check does not. */
  readonly mend?: boolean;
}

/** What opening one container needs: less than a whole storage. */
export interface ContainerContext extends Omit<ReadContext, 'storage'> {
  readonly storage: Pick<Storage, 'get' | 'stat'>;
}

const suffixBytes = 64 * KiB;

/** An opened container: header and table are authentic. */
export class ContainerReader {
  readonly name: string;
  readonly sizeBytes: number;
  readonly header: Header;
  readonly trailer: TrailerHint;
  readonly table: PackTable;
  /** Whether the trailer is exactly the one that belongs here (its hash is not recomputed). */
  readonly trailerFits: boolean;
  readonly #context: ContainerContext;
  readonly #key: KeyObject;
  /** The whole object, when it is so short that opening it has read all of it. */
  readonly #whole: Uint8Array | undefined;

  private constructor(context: ContainerContext, name: string, parts: Parts) {
    this.#context = context;
    this.name = name;
    this.sizeBytes = parts.sizeBytes;
    this.header = parts.header;
    this.trailer = parts.trailer;
    this.table = parts.table;
    this.trailerFits = parts.trailerFits;
    this.#key = parts.key;
    this.#whole = parts.whole;
  }

  /**
   * Opens the container `name`.
   * @param options.sizeBytes length of the object when the caller knows it (else it is asked for)
   * @param options.want which table lines are read, see parseTable
   * @throws BackpackError with a reason code, and the object's name in its context
   */
  static async open(
    context: ContainerContext,
    name: string,
    options: { readonly sizeBytes?: number; readonly want?: 'records' | 'all' } = {},
  ): Promise<ContainerReader> {
    try {
      const parts = await openParts(context, name, options.sizeBytes, options.want ?? 'records');
      return new ContainerReader(context, name, parts);
    } catch (error) {
      throw withObject(error, name);
    }
  }

  /** Number of records. */
  get records(): number {
    return this.table.lengths.length;
  }

  /** Where `count` records from `first` on lie in the object, tags included. @throws BackpackError E_EXTENT */
  rangeOf(first: number, count: number): { offset: number; length: number } {
    if (first < 0 || count < 1 || first + count > this.records) {
      throw reject('E_EXTENT', `records ${first} to ${first + count - 1} are not in the pack`, {
        object: this.name,
      });
    }
    const offset = this.table.offsets[first]!;
    return { offset, length: this.table.offsets[first + count]! - offset };
  }

  /** Reads and opens one record. @returns its plaintext, a copy the caller owns */
  async read(ordinal: number): Promise<Buffer> {
    try {
      const range = this.rangeOf(ordinal, 1);
      const sealed =
        this.#whole?.subarray(range.offset, range.offset + range.length) ??
        (await this.#context.storage.get(this.name, { range }));
      return this.openRecord(ordinal, sealed);
    } catch (error) {
      throw withObject(error, this.name, ordinal);
    }
  }

  /** Opens ciphertext and tag of record `ordinal`. @returns its plaintext, a copy the caller owns */
  openRecord(ordinal: number, sealed: Uint8Array): Buffer {
    const length = this.table.lengths[ordinal]!;
    const codec = this.#context.memory.for(length);
    codec.open(this.#key, recordDomain, ordinal, sealed, codec.plain, length);
    return Buffer.from(codec.kernel.bytes.subarray(codec.plain, codec.plain + length));
  }

  /** The key, for the workers that open records in their own memory. */
  get key(): KeyObject {
    return this.#key;
  }
}

interface Parts {
  readonly sizeBytes: number;
  readonly header: Header;
  readonly key: KeyObject;
  readonly trailer: TrailerHint;
  readonly table: PackTable;
  readonly trailerFits: boolean;
  readonly whole: Uint8Array | undefined;
}

async function openParts(
  context: ContainerContext,
  name: string,
  knownSize: number | undefined,
  want: 'records' | 'all',
): Promise<Parts> {
  const named = parseContainerName(name);
  if (named === undefined) throw reject('E_NAME', 'not the name of a container');
  const get = (offset: number, length: number): Promise<Uint8Array> =>
    context.storage.get(name, { range: { offset, length } });
  // What does not need the length is on its way while that is asked for: with many storages an answer takes long.
  const early = knownSize === undefined ? get(0, blockBytes) : undefined;
  early?.catch(() => {});
  const sizeBytes = knownSize ?? (await context.storage.stat(name))?.sizeBytes;
  if (sizeBytes === undefined) throw reject('E_MISSING', `${name} is missing`);
  if (sizeBytes > containerMax) throw reject('E_LIMIT', 'the object is larger than 4 GiB');
  if (sizeBytes < blockBytes) throw reject('E_TRUNC', 'the object is shorter than a header');
  const suffixAt = Math.max(0, sizeBytes - suffixBytes);
  const [suffix, apart] = await Promise.all([
    get(suffixAt, sizeBytes - suffixAt),
    suffixAt === 0 ? undefined : (early ?? get(0, blockBytes)),
  ]);
  const head = apart ?? suffix.subarray(0, blockBytes);
  const whole = suffixAt === 0 ? suffix : undefined;
  const trailerBytes = suffix.subarray(Math.max(0, suffix.byteLength - blockBytes));
  const sealedTable = async ({ tableOffset, tableLength }: TablePlace): Promise<Uint8Array> => {
    if (tableLength > tablePlainMax + tablePlainMax / 128)
      throw reject('E_LIMIT', 'the table is larger than 64 MiB');
    if (tableOffset < suffixAt) return get(tableOffset, tableLength + tagBytes);
    return suffix.subarray(tableOffset - suffixAt, suffix.byteLength - blockBytes);
  };
  try {
    const header = parseHeader(head);
    checkName(header, named);
    const key = context.keyring.open(header);
    const trailer = parseTrailer(trailerBytes, sizeBytes);
    const text = openTable(context, key, await sealedTable(trailer));
    const table = parseTable(text, { ...trailer, kind: header.kind }, want);
    const trailerFits = Buffer.compare(trailerBytes, formatTrailer(header, trailer)) === 0;
    return { sizeBytes, header, key, trailer, table, trailerFits, whole };
  } catch (error) {
    if (context.mend !== true || !isBackpackError(error) || trailerBytes.byteLength < blockBytes) throw error;
    for (const header of headerCandidates(head, trailerBytes)) {
      for (const place of tableCandidates(trailerBytes, sizeBytes)) {
        try {
          checkName(header, named);
          const key = context.keyring.open(header);
          const text = openTable(context, key, await sealedTable(place));
          // The table is authentic, so its own count holds.
          const records = Number(/"records":(\d+)/.exec(text.slice(0, text.indexOf('\n')))?.[1] ?? -1);
          const table = parseTable(text, { ...place, records, kind: header.kind }, want);
          return {
            sizeBytes,
            header,
            key,
            trailer: { ...place, records, xxh64: '' },
            table,
            trailerFits: false,
            whole,
          };
        } catch {
          // the next guess
        }
      }
    }
    throw error;
  }
}

type TablePlace = Pick<TrailerHint, 'tableOffset' | 'tableLength'>;

function checkName(header: Header, named: ContainerName): void {
  if (header.id === named.id && named.kinds.includes(header.kind)) return;
  throw reject('E_NAME', `the header says ${header.kind} ${header.id}`);
}

function openTable(context: ContainerContext, key: KeyObject, sealed: Uint8Array): string {
  const frame = Buffer.allocUnsafeSlow(Math.max(0, sealed.byteLength - tagBytes));
  open(key, tableDomain, 0, sealed, frame);
  return decodeText(context.memory.decodeTable(frame), 'E_TABLE');
}

/** Adds the object (and record) to an error that speaks about one. */
export function withObject(error: unknown, object: string, record?: number): unknown {
  if (!isBackpackError(error)) return error;
  if (error.code === 'BP_OBJECT_MISSING') return reject('E_MISSING', `${object} is missing`, { object });
  return error.with(record === undefined ? { object } : { object, record });
}
