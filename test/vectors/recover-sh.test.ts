/**
 * Repository vectors through recover.sh, authenticated and with --fast: a sample (all with SLOW=1), in turn under each
 * shell that is there. Skipped visibly where the tools are missing.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { compareTree, type Listed, sample, top, vectors } from './load.ts';

const has = (tool: string): boolean => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0;
const ready = ['openssl', 'lz4', 'jq', 'xxhsum'].every(has);
const shells = [['dash'], ['bash'], ['busybox', 'sh']].filter(([name]) => has(name!));

/** What a shell does not look at: C lines, wrapped keys, what a client remembers, copies of lost snapshots. */
const wanted = vectors('repository').filter(
  (v) =>
    v.maybe('passphrase') === undefined &&
    v.maybe('seen') === undefined &&
    v.maybe('candidates') === undefined,
);
const cases = sample(wanted, 10).flatMap((v, i) => {
  const modes = process.env['SLOW'] === '1' ? [[], ['--fast']] : [i % 3 === 0 ? ['--fast'] : []];
  return modes.map(
    (mode) => [`${v.name} ${mode.join('')}`, v, mode, shells[i % shells.length] ?? ['sh']] as const,
  );
});

test.skipIf(!ready).each(cases)('%s', (_, v, mode, shell) => {
  const dir = mkdtempSync(join(tmpdir(), 'backpack-vector-'));
  try {
    for (const [name, bytes] of [...v.objects, ['../key.bin', v.key] as const]) {
      mkdirSync(dirname(join(dir, 'repo', name)), { recursive: true });
      writeFileSync(join(dir, 'repo', name), bytes, { mode: 0o600 });
    }
    const target = join(dir, 'out');
    mkdirSync(target);
    const [program, ...words] = shell;
    const run = spawnSync(
      program!,
      [
        ...words,
        join(top, 'recover/recover.sh'),
        '--key',
        join(dir, 'key.bin'),
        '--repo',
        join(dir, 'repo'),
        ...mode,
      ].concat(['restore', v.maybe('snapshot') ?? 'latest', '--to', target]),
      { encoding: 'utf8' },
    );
    const fine = v.expect === 'accept' || v.maybe('restore') === 'accept';
    // With --fast no tag is checked; the XXH64 of files and the grammar find most of it under another code.
    if (!fine) expect([run.status, run.stderr]).not.toEqual([0, run.stderr]);
    expect(run.stderr).not.toMatch(/Illegal number|not found|bad number|integer expression/);
    const listing = JSON.parse(v.get('listing')) as Listed[];
    expect([run.stderr, compareTree(target, listing, false)]).toEqual([run.stderr, []]);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
