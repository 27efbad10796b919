import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { utf8ToByteString } from '../../../src/base/bytes.ts';
import { Walker, walkAhead } from '../../../src/pipeline/walker.ts';
import { inlinePort, type WorkerPort } from '../../../src/pipeline/worker-port.ts';
import { Filter, type FilterOptions } from '../../../src/source/filter.ts';
import { type SourceItem, type SourceProblem, type SourceRoot, walk } from '../../../src/source/walk.ts';
import { temporaryFolder } from '../support.ts';

type Entries = (SourceItem | SourceProblem)[];

/** Everything that another thread's walk finds, and what it says of rules. */
async function ahead(port: WorkerPort): Promise<{ entries: Entries; ignored: string[][] }> {
  const entries: Entries = [];
  const ignored: string[][] = [];
  for await (const some of walkAhead(port, (path, why) => ignored.push([path, why]))) entries.push(...some);
  return { entries, ignored };
}

/** The same, walked by this thread. */
function here(
  roots: readonly SourceRoot[],
  filter: FilterOptions,
): { entries: Entries; ignored: string[][] } {
  const ignored: string[][] = [];
  const rules = new Filter(filter, { onIgnored: (path, why) => ignored.push([path, why]) });
  return { entries: [...walk(roots, rules)], ignored };
}

it('finds what a walk of this thread finds, in the same order', async () => {
  // Not at the top of what is temporary, which others change meanwhile.
  const folder = join(temporaryFolder(), 'in/tree');
  for (let i = 0; i < 1500; i += 1) {
    const sub = join(folder, `folder ${i % 7}`);
    mkdirSync(sub, { recursive: true });
    writeFileSync(join(sub, `file ${i}`), 'x'.repeat(i));
  }
  symlinkSync('nowhere', join(folder, 'folder 3', 'link'));
  symlinkSync('\u00fc', join(folder, 'folder 4', '\u00fc'));
  utimesSync(join(folder, 'folder 2', 'file 2'), 1_000.25, 2_000.5);
  spawnSync('mkfifo', [join(folder, 'fifo')]);
  writeFileSync(join(folder, '.backpackignore'), 'file 77\n');
  // No file of rules: it is passed over with a word.
  mkdirSync(join(folder, 'folder 5', '.backpackignore'));
  const real = utf8ToByteString(folder);
  const roots = [
    { real: `${real}/folder 1`, stored: 'some/where/folder 1' },
    { real: `${real}/gone`, stored: 'some/where/gone' },
    { real, stored: 'whole' },
  ];
  const filter: FilterOptions = { largerThan: 1400 };
  // The first look at a folder sets its access time.
  here(roots, filter);
  const expected = here(roots, filter);
  expect(await ahead(inlinePort(new Walker({ roots, filter })))).toEqual(expected);
  // What the comparison is about was there.
  const codes = expected.entries.flatMap((entry) => ('code' in entry ? [entry.code] : []));
  expect(new Set(codes)).toEqual(new Set(['ENOENT', 'excluded']));
  expect(expected.entries.some((entry) => 'ancestor' in entry && entry.ancestor)).toBe(true);
  expect(expected.entries.filter((entry) => 'link' in entry && entry.link !== undefined).length).toBe(2);
  expect(expected.ignored.length).toBe(1);
  expect(expected.entries.length).toBeGreaterThan(1500);
});

it('ends with the error of the thread', async () => {
  const roots = [{ real: utf8ToByteString(temporaryFolder()), stored: 'x' }];
  const good = inlinePort(new Walker({ roots, filter: {} }));
  let calls = 0;
  const port: WorkerPort = {
    call: <R>(method: string, argument: unknown): Promise<R> => {
      calls += 1;
      return calls < 3 ? good.call<R>(method, argument) : Promise.reject(new Error('the thread died'));
    },
    close: async () => {},
  };
  const endless: WorkerPort = {
    ...port,
    call: async <R>(method: string, argument: unknown): Promise<R> =>
      ({
        ...(await port.call<object>(method, argument)),
        last: false,
      }) as R,
  };
  await expect(ahead(endless)).rejects.toThrow('the thread died');
});
