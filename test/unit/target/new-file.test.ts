/** New files end with the owner and mode that were asked for, and are never readable by more before. */
import {
  chmodSync,
  chownSync,
  closeSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { libc } from '../../../src/platform/libc.ts';
import { Jail } from '../../../src/target/jail.ts';
import { everything, type Metadata } from '../../../src/target/metadata.ts';
import { finishFile, newFile } from '../../../src/target/new-file.ts';

const uid = process.getuid!();
const gid = process.getgid!();
const isRoot = uid === 0;

let root: string;
let jail: Jail;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'backpack-new-'));
  mkdirSync(join(root, 'in'));
});
afterEach(() => {
  jail.close();
  rmSync(root, { recursive: true });
});

/** Makes a file. @returns its mode and group while it was written, and in the end */
function make(name: string, mode: string, more: Partial<Metadata> = {}): { before: number; after: number } {
  const m: Metadata = { mode, mtime: '1000000000.123456789', uid, gid, ...more };
  const file = newFile(jail, `in/${name}`, m, everything);
  const before = fstatSync(file.fd).mode & 0o7777;
  writeSync(file.fd, 'x');
  expect(finishFile(file, m, everything)).toEqual([]);
  closeSync(file.fd);
  const stat = statSync(join(root, 'in', name));
  expect([stat.uid, stat.gid]).toEqual([m.uid, m.gid]);
  expect(Math.floor(stat.mtimeMs)).toBe(1000000000123);
  return { before, after: stat.mode & 0o7777 };
}

describe('modes', () => {
  test.each(['0644', '0666', '0777', '0600', '0400', '0000', '4755', '2755'])('%s, many times', (mode) => {
    jail = new Jail(root);
    const wanted = Number.parseInt(mode, 8);
    for (let i = 0; i < 4; i += 1) {
      const { before, after } = make(`f${i}`, mode);
      expect(after).toBe(wanted);
      expect(before & ~wanted & ~0o600).toBe(0);
    }
  });

  test('the first file of a folder is for its owner only, the next has its mode at once', () => {
    jail = new Jail(root);
    expect(make('a', '0644').before).toBe(0o600);
    expect(make('b', '0644').before).toBe(0o644 & ~process.umask());
    expect(make('c', '0640').before).toBe(0o640 & ~process.umask());
  });

  test('a default ACL takes nothing from them', (context) => {
    // user::rwx, group::---, other::---: what is made here is for its owner only.
    const acl = Buffer.from(
      '02000000010007 00ffffffff04000000ffffffff20000000ffffffff'.replaceAll(' ', ''),
      'hex',
    );
    try {
      libc()!.setXattr(join(root, 'in'), 'system.posix_acl_default', acl);
    } catch {
      context.skip();
    }
    jail = new Jail(root);
    for (const name of ['a', 'b', 'c']) expect(make(name, '0644').after).toBe(0o644);
  });
});

describe('owners', () => {
  test('a file whose group is another one than the folder gives is private until it has it', (context) => {
    if (!isRoot) context.skip();
    chownSync(join(root, 'in'), uid, 1234);
    chmodSync(join(root, 'in'), 0o2755);
    jail = new Jail(root);
    for (const name of ['a', 'b', 'c']) expect(make(name, '0640')).toEqual({ before: 0o600, after: 0o640 });
    for (const name of ['d', 'e']) expect(make(name, '0640', { gid: 1234 }).after).toBe(0o640);
  });

  test("in somebody else's folder every file is private until it is finished", (context) => {
    if (!isRoot) context.skip();
    chownSync(join(root, 'in'), 1234, 1234);
    jail = new Jail(root);
    make('a', '0644');
    make('b', '0644');
    // Whoever owns the folder gives new files in it to another group.
    chmodSync(join(root, 'in'), 0o2777);
    expect(make('c', '0640')).toEqual({ before: 0o600, after: 0o640 });
  });
});
