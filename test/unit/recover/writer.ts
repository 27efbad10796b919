import crypto from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';

/** The pure parts of recover.js. It is CommonJS without types on purpose, so `any` here. */
// biome-ignore lint/suspicious/noExplicitAny: plain JavaScript without types
export const recover: any = createRequire(import.meta.url)('../../../recover/recover.js');

// biome-ignore lint/suspicious/noExplicitAny: lz4js has no types
const lz4js: any = createRequire(import.meta.url)('lz4js');
/** A block packed by lz4js, or null when it does not shrink. */
export function lz4jsBlock(part: Buffer): Buffer | null {
  const out = Buffer.alloc(lz4js.compressBound(part.length));
  const size = lz4js.compressBlock(part, out, 0, part.length, new Uint32Array(1 << 16));
  return size > 0 ? out.subarray(0, size) : null;
}

/** A minimal writer of containers for these tests: written from the format, knows nothing of the program. */
const E = (prk: Buffer, info: string | Buffer) =>
  crypto.createHmac('sha512', prk).update(info).update(Buffer.of(1)).digest();
const label = (prk: Buffer, text: string) => E(prk, `backpack/1 ${text}`);
const hexOf = (n: number, width: number) => n.toString(16).padStart(width, '0');
const decimal = (n: number, width: number) => String(n).padStart(width, '0');

export interface FrameOptions {
  block?: (part: Buffer) => Buffer | null;
  blockId?: number;
  blockSums?: boolean;
  contentSum?: boolean;
}

/** One LZ4 frame of the profile; blocks are stored raw unless `block` makes a shorter one. */
export function frame(plain: Buffer, o: FrameOptions = {}): Buffer {
  const id = o.blockId ?? 5;
  const max = 2 ** (8 + 2 * id);
  const u32 = (n: number) => {
    const b = Buffer.alloc(4);
    b.writeUInt32LE(n >>> 0);
    return b;
  };
  const descriptor = Buffer.alloc(10);
  descriptor[0] = 0x68 | (o.blockSums ? 0x10 : 0) | (o.contentSum ? 4 : 0);
  descriptor[1] = id << 4;
  descriptor.writeUInt32LE(plain.length, 2);
  const parts: Buffer[] = [u32(0x184d2204), descriptor, Buffer.of((recover.xxh32(descriptor) >>> 8) & 255)];
  for (let p = 0; p < plain.length; p += max) {
    const raw: Buffer = plain.subarray(p, p + max);
    const packed = o.block?.(raw) ?? null;
    const use: Buffer = packed && packed.length < raw.length ? packed : raw;
    parts.push(u32(use === raw ? raw.length | 0x80000000 : use.length), use);
    if (o.blockSums) parts.push(u32(recover.xxh32(use)));
  }
  parts.push(u32(0));
  if (o.contentSum) parts.push(u32(recover.xxh32(plain)));
  return Buffer.concat(parts);
}

export interface ContainerOptions {
  kind: string;
  records: Buffer[];
  /** Table lines that follow each R line. */
  lines?: string[][];
  id?: string;
  name?: string;
  writer?: string;
  frame?: FrameOptions;
  /** Changes to what would be correct. */
  header?: (text: string) => string;
  table?: (text: string) => string;
  sealed?: (plain: Buffer, record: number) => Buffer;
}

export interface FileSpec {
  path: string | [string];
  t?: string;
  content?: Buffer;
  extra?: Record<string, unknown>;
}

export const temporary = () => fs.mkdtempSync(path.join(os.tmpdir(), 'recover-js-'));
export const nameOf = (bytes: Buffer): string | [string] => {
  const text = bytes.toString('utf8');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: names with control characters are base64
  return Buffer.from(text).equals(bytes) && !/[\0-\x1f\x7f]/.test(text) ? text : [bytes.toString('base64')];
};

export class TestRepository {
  readonly root = crypto.randomBytes(32);
  readonly repo = crypto.randomBytes(16).toString('hex');
  readonly keyid = label(this.root, 'keyid').toString('hex', 0, 8);
  readonly keyFile: string;
  #clock = 1_700_000_000_000;

  readonly dir: string;

  constructor(dir = path.join(temporary(), 'repo')) {
    this.dir = dir;
    fs.mkdirSync(path.join(dir, 'packs'), { recursive: true });
    this.keyFile = path.join(dir, '..', 'key.bin');
    const text = `BACKPACK-KEY 1\nThis file opens the Backpack repository below.\nrepo=${this.repo}\nkeyid=${this.keyid}\nroot=${this.root.toString('hex')}\n`;
    fs.writeFileSync(this.keyFile, text, { mode: 0o600 });
    const start = `{"backpack":"repository","v":1,"repo":"${this.repo}","features":{"incompat":[],"roCompat":[],"compat":[]},"keys":["${this.keyid}"],"made":"2023"`;
    fs.writeFileSync(
      path.join(dir, 'backpack.json'),
      `${start},"xxh64":"${recover.xxh64(Buffer.from(start))}"}\n`,
    );
  }

  newId(): string {
    this.#clock += 1000;
    return hexOf(this.#clock, 12) + crypto.randomBytes(14).toString('hex');
  }

  container(o: ContainerOptions): { id: string; name: string; size: number } {
    const id = o.id ?? this.newId();
    const stamp = `${new Date(Number.parseInt(id.slice(0, 12), 16)).toISOString().replace(/[-:]/g, '').slice(0, 15)}Z`;
    const folders: Record<string, string> = {
      data: `packs/${id.slice(0, 5)}/${id}`,
      meta: `packs/${id.slice(0, 5)}/${id}`,
      snap: `snapshots/${stamp}-${id}`,
      indx: `index/${id}`,
      mark: `gc/${id}`,
      drop: `drop/${id}`,
    };
    const name = o.name?.replace('ID', id) ?? `${folders[o.kind]}.bpk`;
    const writer = o.writer ?? '0'.repeat(16);
    const flags = o.writer ? '00000001' : '00000000';
    let base = this.root;
    let kem = '0'.repeat(64);
    if (o.writer) {
      base = label(this.root, `writer ${writer}`).subarray(0, 32);
      if (o.kind !== 'indx') {
        const own = recover.x25519(label(this.root, 'x25519').subarray(0, 32)).own as Buffer;
        const e = crypto.randomBytes(32);
        const { own: E32, shared } = recover.x25519(e, own) as { own: Buffer; shared: Buffer };
        kem = E32.toString('hex');
        const psk = label(base, 'psk').subarray(0, 32);
        base = crypto
          .createHmac('sha512', Buffer.concat([psk, E32, own]))
          .update(shared)
          .digest();
      }
    }
    const middle = `kind=${o.kind}\nrepo=${this.repo}\nkeyid=${this.keyid}\nwriter=${writer}\nid=${id}\nkem=${kem}\nflags=${flags}\n`;
    const head = `BACKPACK-CONTAINER 1\nEncrypted backup data. How to read it: README.txt in the top folder.\nsuite=1 HKDF-SHA512 AES-256-GCM LZ4-frames\n${middle}pad=${'-'.repeat(79)}\n`;
    const header440 = o.header?.(head) ?? head;
    const keyAndCommit = E(label(base, o.kind).subarray(0, 32), Buffer.from(header440, 'latin1'));
    const commit = keyAndCommit.toString('hex', 32);
    const seal = (domain: number, counter: number, plain: Buffer) => {
      const nonce = Buffer.alloc(12);
      nonce.writeUInt32BE(domain, 0);
      nonce.writeUInt32BE(counter, 8);
      const gcm = crypto.createCipheriv('aes-256-gcm', keyAndCommit.subarray(0, 32), nonce, {
        authTagLength: 16,
      });
      return Buffer.concat([gcm.update(plain), gcm.final(), gcm.getAuthTag()]);
    };
    const body: Buffer[] = [];
    const lines: string[] = [];
    let at = 512;
    o.records.forEach((plain, i) => {
      const framed = o.sealed?.(plain, i) ?? frame(plain, o.frame);
      const sealed = seal(0, i, framed);
      lines.push(JSON.stringify(['R', at, framed.length, plain.length]), ...(o.lines?.[i] ?? []));
      body.push(sealed);
      at += sealed.length;
    });
    const first = { backpack: 'table', v: 1, records: o.records.length, end: at, dd: '86c5b956b846e90c' };
    const text = `${[JSON.stringify(first), ...lines].join('\n')}\n`;
    const table = seal(1, 0, frame(Buffer.from(o.table?.(text) ?? text)));
    const front = Buffer.concat([Buffer.from(`${header440}commit=${commit}\n`, 'latin1'), ...body, table]);
    const trailer = `\nBACKPACK-TRAILER 1\n${middle}commit=${commit}\ntable=${decimal(at, 16)} ${decimal(table.length - 16, 12)}\nrecords=${decimal(o.records.length, 10)}\nxxh64=${recover.xxh64(front)}\npad=${'-'.repeat(110)}\nEND\n`;
    const file = path.join(this.dir, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    const bytes = Buffer.concat([front, Buffer.from(trailer, 'latin1')]);
    fs.writeFileSync(file, bytes);
    return { id, name, size: bytes.length };
  }

  /** A C line for a whole record. */
  chunk(content: Buffer, file?: number): string {
    const hint = file === undefined ? [] : [file, 0];
    return JSON.stringify(['C', 0, content.length, recover.xxh64(content), '0'.repeat(32), ...hint]);
  }

  /** Lines of one page from specs: one record of one data pack per file, unless `extra.e` says otherwise. */
  snapshot(
    files: FileSpec[],
    o: {
      writer?: string;
      packWriter?: string;
      lines?: (l: string[]) => string[];
      /** Paths that could not be read, and why. */
      errors?: readonly (readonly [string, string])[];
      root?: object;
      pages?: number;
      frame?: FrameOptions;
    } = {},
  ) {
    const contents = files.filter((f) => f.content?.length && !f.extra?.['e']);
    const data = this.container({
      kind: 'data',
      records: contents.map((f) => f.content as Buffer),
      lines: contents.map((f, i) => [
        JSON.stringify(['F', i, f.path, f.content?.length, '1700000000.000000000']),
        this.chunk(f.content as Buffer, i),
      ]),
      ...(o.packWriter ? { writer: o.packWriter } : {}),
      ...(o.frame ? { frame: o.frame } : {}),
    });
    let entries = files.map((f) => {
      const t = f.t ?? (f.content ? 'f' : 'd');
      const entry: Record<string, unknown> = { p: f.path, t };
      if (t === 'f') entry['s'] = f.content?.length ?? 0;
      if (t !== '+') Object.assign(entry, { m: '1700000000.000000000', o: t === 'd' ? '0755' : '0644' });
      if (t === 'f' && f.content?.length) {
        entry['x'] = recover.xxh64(f.content);
        entry['e'] = [[0, contents.indexOf(f), 1, f.content.length]];
      }
      return JSON.stringify({ ...entry, ...f.extra });
    });
    entries = o.lines?.(entries) ?? entries;
    const per = Math.ceil(entries.length / (o.pages ?? 1)) || 1;
    const groups: string[][] = [];
    for (let i = 0; i < entries.length; i += per) groups.push(entries.slice(i, i + per));
    const pageHead = JSON.stringify({ backpack: 'page', v: 1, packs: [data.id] });
    const pages = groups.map((g) => Buffer.from(`${[pageHead, ...g].join('\n')}\n`));
    const writer = o.writer ? { writer: o.writer } : {};
    const id = this.newId();
    const pathOf = (line: string | undefined) => {
      try {
        return JSON.parse(line ?? '{}').p ?? '';
      } catch {
        return '';
      }
    };
    const streamOf = (meta: { id: string; size: number }) => {
      const root = {
        backpack: 'snapshot',
        v: 1,
        id,
        seq: 1,
        time: '1700000000.000000000',
        host: 'h',
        set: 's',
        roots: ['.'],
        parents: [],
        prev: null,
        known: [],
        partial: false,
        params: { dedup: 'gmac-1', chunker: 'gear-1', packSize: 67_108_864 },
        stats: { files: files.length, bytes: 0, stored: 0 },
        ...o.root,
      };
      const packs = [data, meta].sort((a, b) => (a.id < b.id ? -1 : 1));
      const k = packs.map((p) => JSON.stringify(['K', p.id, p.size]));
      const g = groups.map((lines, i) =>
        JSON.stringify(['G', packs.indexOf(meta), i, lines.length, pathOf(lines[0]), pathOf(lines.at(-1))]),
      );
      const e = (o.errors ?? []).map((error) => JSON.stringify(['E', ...error]));
      return [Buffer.from(`${JSON.stringify(root)}\n`), Buffer.from(`${[...k, ...g, ...e].join('\n')}\n`)];
    };
    const metaId = this.newId();
    const meta = this.container({
      kind: 'meta',
      id: metaId,
      records: [...pages, ...streamOf({ id: metaId, size: 0 })],
      ...writer,
    });
    const snap = this.container({ kind: 'snap', id, records: streamOf(meta), ...writer });
    return { id, data, meta, snap };
  }

  /** Runs recover.js in this process: exit code and what it says. */
  run(...argv: string[]): { code: number; out: string; err: string } {
    let out = '';
    let err = '';
    const io = { out: (s: string) => (out += s), err: (s: string) => (err += s) };
    const code = recover.main(['--key', this.keyFile, '--repo', this.dir, ...argv], io) as number;
    return { code, out, err };
  }
  restore(...argv: string[]): { code: number; out: string; err: string; to: string } {
    const to = path.join(temporary(), 'out');
    return { ...this.run('restore', ...argv, '--to', to), to };
  }
}
