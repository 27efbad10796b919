/** A time that the target's filesystem does not know became the nearest one it knows, and nobody was told. */
import { lstatSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { secondsOf } from '../../src/base/nanoseconds.ts';
import { parseKeyFile } from '../../src/format/key-file.ts';
import { openRepository } from '../../src/repo/repository.ts';
import { FsStorage } from '../../src/storage/index.ts';
import { restoreTo } from '../unit/operations/tree.ts';
import { TestRepository } from '../unit/recover/writer.ts';
import { temporaryFolder } from '../unit/support.ts';

it('is told for files, folders and links', async () => {
  const made = new TestRepository();
  onTestFinished(() => rmSync(dirname(made.dir), { recursive: true }));
  // ext4 ends in 2446; 2100 is for filesystems that end in 2038.
  const times = {
    a: 20_000_000_000,
    b: -20_000_000_000,
    c: 4_102_444_800,
    d: 20_000_000_000,
    e: 20_000_000_000,
  };
  const extra = (name: keyof typeof times): { m: string } => ({ m: `${times[name]}.000000000` });
  made.snapshot([
    { path: 'a', content: Buffer.from('a'), extra: extra('a') },
    { path: 'b', content: Buffer.from('b'), extra: extra('b') },
    { path: 'c', content: Buffer.from('c'), extra: extra('c') },
    { path: 'd', t: 'd', extra: extra('d') },
    { path: 'e', t: 'l', extra: { ...extra('e'), l: 'a' } },
  ]);
  const key = parseKeyFile(readFileSync(made.keyFile));
  const from = await openRepository({ location: made.dir }, new FsStorage(made.dir), {
    ...key,
    repo: made.repo,
  });
  const target = temporaryFolder();
  const done = await restoreTo(from, { target });
  const told = done.problems.map(({ path, code }) => `${path} ${code}`).sort();
  const wrong = (Object.keys(times) as (keyof typeof times)[]).filter(
    (name) => secondsOf(lstatSync(join(target, name), { bigint: true }).mtimeNs) !== times[name],
  );
  expect(told).toEqual(wrong.map((name) => `${name} BP_METADATA`));
});
