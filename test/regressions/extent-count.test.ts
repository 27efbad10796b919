/** An extent that claimed billions of records was counted through before it was refused. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { RestoreWorker } from '../../src/pipeline/restore-worker.ts';
import { everything } from '../../src/target/metadata.ts';
import { backUp, newRepository } from '../unit/operations/tree.ts';
import { temporaryFolder } from '../unit/support.ts';

it('is refused at once', async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'a'), 'hello');
  const repository = await newRepository();
  await backUp(repository, folder);
  const { spec, keyring, storage } = repository;
  const target = temporaryFolder();
  const rules = {
    overwrite: 'never',
    sparse: false,
    foldsNames: false,
    dryRun: false,
    metadata: everything,
  } as const;
  const worker = new RestoreWorker({ storage: spec, keyring: keyring.data, target, rules }, storage);
  const codes: (string | undefined)[] = [];
  const started = performance.now();
  for await (const { name } of storage.list('packs/')) {
    const extent = { pack: name.slice(12, 52), record: 0, count: 2 ** 32 - 1, length: 5, offset: 0 };
    const metadata = { mode: '0600', mtime: '0.000000000', uid: undefined, gid: undefined };
    const file = { path: 'a', sizeBytes: 5, x: '0'.repeat(16), extents: [extent], metadata };
    const reply = await worker.files({ files: JSON.stringify([file]), writer: '0'.repeat(16) });
    codes.push(reply[0]?.[1].error?.code);
  }
  await worker.finish();
  expect(codes.sort()).toEqual(['E_EXTENT', 'E_KIND']);
  expect(performance.now() - started).toBeLessThan(2000);
});
