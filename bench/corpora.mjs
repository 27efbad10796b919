// The data that is backed up, made from public Debian packages and seeds in a folder outside this repository. Each
// part is built under another name and renamed when it is whole, so an interrupted build is not taken for a corpus.
//
//   tree   the Linux source of Debian's package linux-source-6.1, unpacked: 78,579 files, 1.3 GB
//   big    media.bin, 2 GiB of random bytes; linux.tar, the same source as a tar, 1.36 GB; vm.img, a sparse image of
//          3 GiB with an ext4 filesystem that holds a minimal Debian
//   edit   linux.tar with 100 insertions and 1,000 overwrites at places that depend on a seed
//   many   any number of generated files of 0 to 8 KiB, 1,000 to a folder (scaling only)
import { createCipheriv, createHash } from 'node:crypto';
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { must, which } from './measure.mjs';

const MIB = 1 << 20;
const sourcePackage = 'linux-source-6.1';

/** Endless bytes that depend on nothing but the seed. */
export function noise(seed) {
  const key = createHash('sha256').update(`backpack bench ${seed}`).digest();
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  return (length) => cipher.update(Buffer.alloc(length));
}

/** Endless numbers below a bound that depend on nothing but the seed. */
export function numbers(seed) {
  const bytes = noise(seed);
  return (below) => Number(bytes(8).readBigUInt64LE() % BigInt(below));
}

export class Corpora {
  /** @param folder cache folder; @param options.tree an unpacked source tree to use instead of unpacking one */
  constructor(folder, { tree, say = () => {} } = {}) {
    mkdirSync(folder, { recursive: true });
    this.folder = folder;
    this.say = say;
    this.given = tree;
  }

  #build(name, make) {
    const path = join(this.folder, name);
    if (existsSync(path)) return path;
    this.say(`building ${name} ...`);
    const partial = `${path}.partial`;
    rmSync(partial, { recursive: true, force: true });
    make(partial);
    renameSync(partial, path);
    return path;
  }

  #tarball() {
    const installed = `/usr/src/${sourcePackage}.tar.xz`;
    if (existsSync(installed)) return installed;
    return this.#build('linux.tar.xz', (partial) => {
      const work = join(this.folder, 'download');
      mkdirSync(work, { recursive: true });
      must(['apt-get', 'download', sourcePackage], { cwd: work });
      must(['sh', '-c', 'dpkg-deb -x *.deb unpacked'], { cwd: work });
      renameSync(join(work, `unpacked/usr/src/${sourcePackage}.tar.xz`), partial);
      rmSync(work, { recursive: true });
    });
  }

  tree() {
    if (this.given !== undefined) return this.given;
    const path = this.#build('tree', (partial) => {
      mkdirSync(partial);
      must(['tar', '-xJf', this.#tarball(), '-C', partial]);
    });
    return join(path, sourcePackage);
  }

  #tar() {
    return this.#build('linux.tar', (partial) =>
      must(['sh', '-c', 'exec xz -dc "$0" > "$1"', this.#tarball(), partial]),
    );
  }

  #random(name, bytes) {
    return this.#build(name, (partial) => {
      const next = noise(name);
      const fd = openSync(partial, 'w');
      for (let left = bytes; left > 0; left -= MIB) writeSync(fd, next(Math.min(left, MIB)));
      closeSync(fd);
    });
  }

  /** A minimal Debian in a sparse image, or undefined when this machine cannot make one. */
  #image() {
    if (!existsSync(join(this.folder, 'vm.img'))) {
      const lacking = ['debootstrap', 'mkfs.ext4'].filter((name) => which(name) === undefined);
      if (lacking.length > 0 || process.getuid() !== 0) {
        this.say(
          `no vm.img: it needs root, debootstrap and mkfs.ext4${lacking.length ? `; no ${lacking}` : ''}`,
        );
        return undefined;
      }
    }
    return this.#build('vm.img', (partial) => {
      const root = join(this.folder, 'vm-root');
      rmSync(root, { recursive: true, force: true });
      const mirror = must([
        'apt-get',
        'indextargets',
        '--format',
        '$(REPO_URI)',
        'Created-By: Packages',
        'Codename: bookworm',
      ]).split('\n')[0];
      must(['debootstrap', '--variant=minbase', 'bookworm', root, ...(mirror ? [mirror] : [])]);
      const id = '6261636b-7061-636b-0000-000000000001';
      must(['mkfs.ext4', '-q', '-F', '-U', id, '-E', `hash_seed=${id}`, '-d', root, partial, '3G']);
      rmSync(root, { recursive: true, force: true });
    });
  }

  /** Paths of the large files. */
  big() {
    const files = [this.#random('media.bin', 2048 * MIB), this.#tar(), this.#image()];
    return files.filter((path) => path !== undefined);
  }

  /** linux.tar and the edited one. */
  edit() {
    const tar = this.#tar();
    return {
      before: tar,
      after: this.#build('linux-edited.tar', (partial) => edit(tar, partial, 'edit', 100, 1000)),
    };
  }

  /** Parts of the tree for a quick look. */
  quickTree() {
    return ['fs', 'net', 'kernel', 'lib', 'sound'].map((name) => join(this.tree(), name));
  }

  /** Smaller large files for a quick look; needs no root. */
  quickBig() {
    const head = this.#build('quick.tar', (partial) => {
      must(['sh', '-c', 'xz -dc "$0" 2>/dev/null | head -c 268435456 > "$1"', this.#tarball(), partial]);
    });
    const sparse = this.#build('quick.img', (partial) => {
      copyFileSync(head, partial);
      truncateSync(partial, 64 * MIB);
      truncateSync(partial, 512 * MIB);
    });
    return [this.#random('quick.bin', 256 * MIB), head, sparse];
  }

  quickEdit() {
    const [, tar] = this.quickBig();
    return {
      before: tar,
      after: this.#build('quick-edited.tar', (partial) => edit(tar, partial, 'quick', 20, 200)),
    };
  }
}

/** Copies a file with insertions of up to 4 KiB and overwrites of up to 512 bytes. */
export function edit(source, target, seed, insertions, overwrites) {
  const { size } = statSync(source);
  const next = numbers(seed);
  const bytes = noise(`${seed} bytes`);
  const places = Array.from({ length: insertions + overwrites }, (_, i) => ({
    at: next(size - 512),
    insert: i < insertions,
    length: 1 + next(i < insertions ? 4096 : 512),
  })).sort((a, b) => a.at - b.at);
  const from = openSync(source, 'r');
  const to = openSync(target, 'w');
  let at = 0;
  const copy = (until) => {
    while (at < until) {
      const piece = Buffer.alloc(Math.min(4 * MIB, until - at));
      const got = readSync(from, piece, 0, piece.length, at);
      if (got === 0) break;
      writeSync(to, piece.subarray(0, got));
      at += got;
    }
  };
  for (const place of places) {
    copy(place.at);
    writeSync(to, bytes(place.length));
    if (!place.insert) at = Math.max(at, Math.min(size, place.at + place.length));
  }
  copy(size);
  closeSync(from);
  closeSync(to);
}
