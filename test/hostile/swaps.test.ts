/** Another process exchanges folders of the target for links while a restore runs: nothing gets outside. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { toBackpackError } from '../../src/base/errors.ts';
import { backUp, newRepository, restoreTo } from '../unit/operations/tree.ts';
import { temporaryFolder } from '../unit/support.ts';

const wanted = Number(process.env['HOSTILE_SWAPS'] ?? 1000);
const folders = Array.from({ length: 12 }, (_, i) => [`d${i}`, `d${i}/sub`]).flat();

it(`${wanted} files and more, restored while folders are links now and then`, async () => {
  const source = temporaryFolder();
  for (const folder of folders) {
    mkdirSync(join(source, folder));
    for (let i = 0; i < 4; i += 1) writeFileSync(join(source, folder, `file${i}`), `${folder} ${i}`);
  }
  const repository = await newRepository();
  await backUp(repository, source);
  const [target, outside] = [temporaryFolder(), temporaryFolder()];
  const inside = join(target, 'in');
  await restoreTo(repository, { target: inside });
  const swapper = spawn(
    process.execPath,
    [join(import.meta.dirname, 'swapper.mjs'), inside, outside, ...folders],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  let said = '';
  swapper.stdout.on('data', (data: Buffer) => {
    said += data;
  });
  await once(swapper.stdout, 'data');
  const overwrite = ['always', 'if-changed', 'never'] as const;
  const refused = new Set<string>();
  let placed = 0;
  for (let round = 0; placed < wanted && round < wanted; round += 1) {
    // Now and then what the snapshot does not have is deleted: what the other process has put aside.
    const deletes = round % 5 === 0 ? { confirmDelete: async () => true } : {};
    try {
      const how = { target: inside, overwrite: overwrite[round % 3]!, ...deletes, verify: round % 7 === 0 };
      const done = await restoreTo(repository, how);
      placed += done.files;
      for (const { code } of done.problems) refused.add(code);
    } catch (error) {
      refused.add(toBackpackError(error).code);
    }
    // Everything that was put there would have come through a link.
    expect(readdirSync(outside), `round ${round}`).toEqual([]);
  }
  swapper.stdin.end();
  await once(swapper, 'exit');
  const swaps = Number(said.trim().split('\n').at(-1));
  process.stderr.write(
    `${placed} files placed during ${swaps} exchanges; refused with ${[...refused].sort().join(', ')}\n`,
  );
  expect(placed).toBeGreaterThanOrEqual(wanted);
  expect(swaps).toBeGreaterThan(100);
  // The exchanges were seen: something was refused.
  expect(refused.size).toBeGreaterThan(0);
  expect([...refused]).not.toContain('BP_INTERNAL');
}, 600_000);
