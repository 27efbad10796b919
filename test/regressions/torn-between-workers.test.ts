/** A large file that changed between two workers' opening it was stored as a mixture of both states without a word. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { WriterMemory } from '../../src/container/container-writer.ts';
import { EntryStream } from '../../src/format/entry-stream.ts';
import { BackupRun } from '../../src/pipeline/backup-run.ts';
import { BackupWorker } from '../../src/pipeline/backup-worker.ts';
import { createCatalogMemory } from '../../src/pipeline/catalog.ts';
import { createPackListMemory, PackList } from '../../src/pipeline/pack-list.ts';
import { inlinePort } from '../../src/pipeline/worker-port.ts';
import { rootOf } from '../../src/source/walk.ts';
import { MemoryStorage } from '../../src/storage/index.ts';
import { noise } from '../unit/operations/tree.ts';
import { keyring, repo, temporaryFolder } from '../unit/support.ts';

const hook = vi.hoisted(() => ({ opens: 0, beforeOpen: undefined as ((count: number) => void) | undefined }));
vi.mock('../../src/source/read-file.ts', async (original) => {
  const source = await original<typeof import('../../src/source/read-file.ts')>();
  return {
    ...source,
    openSource: (path: string): number => {
      hook.beforeOpen?.(++hook.opens);
      return source.openSource(path);
    },
  };
});

it('a large file that changes between two workers is torn', async () => {
  const folder = temporaryFolder();
  const file = join(folder, 'file');
  const content = noise(12_000_000, 1);
  writeFileSync(file, content);
  const storage = new MemoryStorage();
  const memory = createPackListMemory(100);
  const common = {
    storage: { location: 'memory' },
    keyring: keyring().data,
    repo,
    app: 'test',
    packSize: 1 << 26,
    catalog: createCatalogMemory(1 << 20, 1 << 20),
    packs: memory,
    progress: new SharedArrayBuffer(64),
  };
  const workers = [0, 1].map((owner) => inlinePort(new BackupWorker({ ...common, owner }, storage)));
  // Each reading is a mixture; the last one is stored, and says so.
  hook.beforeOpen = (count) => count % 2 === 0 && writeFileSync(file, noise(12_000_000, count));
  const warnings: string[] = [];
  const pages: string[] = [];
  const run = new BackupRun({
    roots: [rootOf('.', folder)],
    filter: {},
    onIgnored: () => {},
    parents: [],
    workers,
    packs: new PackList(memory),
    hashStateBytes: new WriterMemory(1).codec.kernel.hashStateBytes,
    pathHash: () => 1,
    beforeFirstFile: async () => {},
    onPage: async (page) => {
      if (page.kind === 'new')
        pages.push(Buffer.concat(page.text.map((piece) => Buffer.from(piece as string))).toString());
    },
    onProblem: () => {},
    onWarning: (_path, list) => warnings.push(...list),
  });
  await run.run();
  expect(hook.opens).toBe(6);
  expect(warnings).toEqual(['torn']);
  const stream = new EntryStream(true);
  const [entry] = [...pages.flatMap((text) => [...stream.page(text)]), stream.end()];
  expect(entry?.json.w).toEqual(['torn']);
});
