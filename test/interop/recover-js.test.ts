import crypto from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

// biome-ignore lint/suspicious/noExplicitAny: plain JavaScript without types
const recover: any = createRequire(import.meta.url)('../../recover/recover.js');

interface Entry {
  path: string | [string];
  type: string;
  mode: string;
  mtime: string;
  size?: number;
  sha256?: string;
  link?: string | [string];
  hl?: string;
}
const bytesOf = (name: string | [string]) =>
  typeof name === 'string' ? Buffer.from(name) : Buffer.from(name[0], 'base64');
/** Folders with key.bin, repo/ and listing.json: what a backup contains, written by something else than the reader. */
const base = process.env['BACKPACK_GOLDEN'] ?? path.join(import.meta.dirname, '../../test-vectors/golden');
const golden = fs.existsSync(base)
  ? fs.readdirSync(base).filter((d) => fs.existsSync(path.join(base, d, 'listing.json')))
  : [];

function run(dir: string, ...argv: string[]) {
  let out = '';
  let err = '';
  const io = {
    out: (s: string) => {
      out += s;
    },
    err: (s: string) => {
      err += s;
    },
  };
  const key = fs.existsSync(path.join(dir, 'key.bin')) ? path.join(dir, 'key.bin') : path.join(dir, 'key');
  return {
    code: recover.main(['--key', key, '--repo', path.join(dir, 'repo'), ...argv], io) as number,
    out,
    err,
  };
}

describe.skipIf(golden.length === 0)('golden repositories', () => {
  test.each(golden)('%s: verify finds nothing, every snapshot restores as listed', (name) => {
    const dir = path.join(base, name);
    expect(run(dir, 'verify')).toMatchObject({ code: 0 });
    const listing = JSON.parse(fs.readFileSync(path.join(dir, 'listing.json'), 'utf8'));
    for (const { snapshot, entries } of listing as { snapshot: string; entries: Entry[] }[]) {
      const to = fs.mkdtempSync(path.join(os.tmpdir(), 'recover-js-'));
      expect([0, 3]).toContain(run(dir, 'restore', snapshot, '--to', to).code);
      const inodes = new Map<string, bigint>();
      for (const e of entries) {
        const full = Buffer.concat([Buffer.from(`${to}/`), bytesOf(e.path)]);
        if ('psbc'.includes(e.type)) continue;
        const st = fs.lstatSync(full, { bigint: true });
        const type = st.isFile() ? 'f' : st.isDirectory() ? 'd' : st.isSymbolicLink() ? 'l' : '?';
        expect(type).toBe(e.type);
        if (type !== 'l')
          expect((Number(st.mode) & 0o777).toString(8)).toBe(
            (Number.parseInt(e.mode, 8) & 0o777).toString(8),
          );
        const [s, n] = e.mtime.split('.') as [string, string];
        const off = st.mtimeNs - (BigInt(s) * 1_000_000_000n + BigInt(n));
        expect(off > -1000n && off < 1000n, `${String(full)} ${off}`).toBe(true);
        if (type === 'f') {
          expect(Number(st.size)).toBe(e.size);
          expect(crypto.createHash('sha256').update(fs.readFileSync(full)).digest('hex')).toBe(e.sha256);
        }
        if (type === 'l' && e.link)
          expect(fs.readlinkSync(full, { encoding: 'buffer' }).equals(bytesOf(e.link))).toBe(true);
        if (e.hl) expect(inodes.get(e.hl) ?? st.ino).toBe(st.ino);
        if (e.hl) inodes.set(e.hl, st.ino);
      }
      const all = fs.readdirSync(to, { recursive: true, encoding: 'latin1' });
      expect(all.length).toBe(entries.filter((e) => !'psbc'.includes(e.type)).length);
      fs.rmSync(to, { recursive: true });
    }
  });
});
