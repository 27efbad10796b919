/**
 * Streams through the command: what a program writes, or what comes through a pipe, comes back; memory does not grow with
 * it; and a program that fails in the middle leaves no snapshot.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as rig from './rig.ts';

const sizeMiB = rig.setting('STREAM_MIB', 24);
/** The goal for two threads, whatever the size (docs/performance.md). */
const peakMaxMB = 256 * 1.048576;
const hasTime = rig.hasTool('/usr/bin/time');

/** Bytes that nothing can compress, the same for each seed; ends as it is told to. */
const writer = `
import { createCipheriv } from 'node:crypto';
const [seed, mib, end] = process.argv.slice(2);
const key = Buffer.alloc(16, Number(seed));
const cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
const zeros = Buffer.alloc(1 << 20);
for (let i = 0; i < Number(mib); i += 1)
  if (!process.stdout.write(cipher.update(zeros))) await new Promise((go) => process.stdout.once('drain', go));
if (end === 'kill') process.kill(process.pid, 'SIGKILL');
process.exitCode = Number(end ?? 0);
`;

describe.skipIf(!rig.built)('streams', () => {
  const place = new rig.Place();
  const words = (...args: readonly (string | number)[]): string[] => [
    process.execPath,
    place.at('writer.mjs'),
    ...args.map(String),
  ];
  const hashOf = (command: string): string =>
    spawnSync('sh', ['-c', `${command} | sha256sum`], { encoding: 'utf8' }).stdout.slice(0, 64);
  const measured = (before: readonly string[]): string[] =>
    hasTime ? ['/usr/bin/time', '-f', 'peak %M', ...before] : [...before];
  const peakOf = ({ stderr }: rig.Ended): number => Number(/^peak (\d+)$/m.exec(stderr)?.[1] ?? 0) / 1000;

  /** Backs up, restores and compares. @returns figures */
  async function roundTrip(
    seed: number,
    args: readonly string[],
    before: readonly string[],
    name: string,
  ): Promise<Record<string, unknown>> {
    const all = ['backup', '--threads', '2', '--json', '--repo', place.repo, '--key', place.key, ...args];
    const ended = await place.run(all, { before: measured(before) });
    expect(ended.code, rig.describe(ended)).toBe(0);
    const to = place.at(`out-${name}`);
    const back = await place.backpack(['restore', 'latest', '--to', to, '--threads', '2'], {
      before: measured([]),
    });
    expect(back.code, rig.describe(back)).toBe(0);
    expect(hashOf(`cat '${to}/${name}'`)).toBe(hashOf(words(seed, sizeMiB).join(' ')));
    const peaks = { backupMB: Math.round(peakOf(ended)), restoreMB: Math.round(peakOf(back)) };
    expect(Math.max(...Object.values(peaks)), JSON.stringify(peaks)).toBeLessThan(peakMaxMB);
    return { sizeMiB, ms: Math.round(ended.ms), ...peaks };
  }

  beforeAll(async () => {
    writeFileSync(place.at('writer.mjs'), writer);
    await place.init();
  });
  afterAll(() => place.remove());

  it('--stdin', async () => {
    const pipe = ['sh', '-c', `${words(1, sizeMiB).join(' ')} | "$@"`, 'sh'];
    const args = ['--stdin', '--stdin-name', 'dump.bin'];
    rig.figures('stdin', await roundTrip(1, args, pipe, 'dump.bin'));
  }, 600_000);

  it('--command', async () => {
    const args = ['--stdin-name', 'made.bin', '--command', '--', ...words(2, sizeMiB)];
    rig.figures('command', await roundTrip(2, args, [], 'made.bin'));
  }, 600_000);

  it.each(['7', 'kill'])(
    'a program that ends with %s in the middle leaves no snapshot',
    async (end) => {
      const before = await place.list();
      const args = ['backup', '--repo', place.repo, '--key', place.key, '--command', '--'];
      const ended = await place.run([...args, ...words(3, Math.ceil(sizeMiB / 2), end)]);
      expect(ended.code, rig.describe(ended)).toBeGreaterThan(0);
      expect(ended.stderr).toContain(end === 'kill' ? 'SIGKILL' : `exit code ${end}`);
      expect(await place.list()).toEqual(before);
      expect(place.verify()).toBeUndefined();
    },
    600_000,
  );
});
