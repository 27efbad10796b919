/**
 * A process rewrites files all the time while they are backed up: every stored file is a state that existed, or is
 * marked as torn and named.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { isState, stateOf } from '../kept/states.mjs';
import { built, figures, seed, setting } from './rig.ts';

const project = join(import.meta.dirname, '../..');
const rounds = setting('MUTATIONS', 2);

describe.runIf(built)('a tree that is rewritten while it is read', () => {
  const base = mkdtempSync(join(tmpdir(), 'backpack-mutator-'));
  afterAll(() => rmSync(base, { recursive: true, force: true }));
  const run = (args: readonly string[]): { code: number; lines: Record<string, unknown>[] } => {
    const all = [join(project, 'dist/cli/main.js'), ...args, '--json', '--repo', 'repo', '--key', 'key.bin'];
    const done = spawnSync(process.execPath, all, {
      cwd: base,
      env: { HOME: join(base, 'home') },
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    });
    const lines = done.stdout.split('\n').filter((line) => line !== '');
    return {
      code: done.status ?? -1,
      lines: lines.map((line) => JSON.parse(line) as Record<string, unknown>),
    };
  };

  it('is stored in states that existed, or marked as torn', async () => {
    const source = join(base, 'source');
    mkdirSync(source);
    for (let i = 0; i < 16; i += 1) writeFileSync(join(source, `file-${i}`), stateOf(0, 1 + i * 16));
    for (let i = 0; i < 2; i += 1) writeFileSync(join(source, `large-${i}`), stateOf(0, 2300));
    expect(run(['init']).code).toBe(0);
    const mutator = spawn(process.execPath, [join(project, 'test/kept/mutator.mjs'), source, String(seed)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await new Promise((resolve) => mutator.stdout.once('data', resolve));
    const totals = { files: 0, torn: 0, gone: 0 };
    try {
      for (let round = 0; round < rounds; round += 1) {
        const backup = run(['backup', 'source']);
        const of = (code: string): Set<unknown> =>
          new Set(backup.lines.filter((line) => line['code'] === code).map((line) => line['path']));
        const torn = of('BP_TORN');
        const missing = backup.lines.filter(({ type }) => type === 'source-error');
        expect(backup.code).toBe(torn.size + missing.length > 0 ? 3 : 0);
        for (const error of missing) expect(['ENOENT', 'ESTALE']).toContain(error['code']);
        const target = join(base, `target-${round}`);
        expect(run(['restore', 'latest', '--to', target]).code).toBe(0);
        for (const name of readdirSync(join(target, 'source'))) {
          // What the mutator is just about to put in place of another one.
          if (name.endsWith('.new')) continue;
          totals.files += 1;
          const whole = isState(readFileSync(join(target, 'source', name)));
          expect(whole || torn.has(`source/${name}`), `${name} of round ${round}`).toBe(true);
        }
        totals.torn += torn.size;
        totals.gone += missing.length;
        rmSync(target, { recursive: true });
      }
    } finally {
      mutator.stdin.end();
      await new Promise((resolve) => mutator.once('exit', resolve));
    }
    expect(totals.files).toBeGreaterThan(rounds * 12);
    figures('mutator', { seed, backups: rounds, ...totals });
  });
});
