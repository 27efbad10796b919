/**
 * P01: what is durable when a snapshot is acknowledged, as the system sees it. Every file is fsynced after its last
 * write and before it gets its name; every folder that was made or changed is fsynced before the line that
 * acknowledges the snapshot is printed.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as rig from './rig.ts';

const calls =
  'open,openat,write,writev,pwrite64,pwritev,ftruncate,fsync,fdatasync,link,linkat,rename,renameat,renameat2,mkdir,mkdirat';

describe.skipIf(!rig.built || !rig.hasTool('strace'))('order of writes', () => {
  const place = new rig.Place();

  beforeAll(async () => {
    rig.makeSource(place.at('source'), new rig.Dice(rig.seed), { files: 300, largeBytes: 8 * 2 ** 20 });
    await place.init();
    place.save('base');
  }, 60_000);

  afterAll(() => place.remove());

  async function trace(main?: string): Promise<ReturnType<typeof judge>> {
    place.goBackTo('base');
    const log = place.at('trace');
    const before = ['strace', '-f', '-q', '-y', '-s', '24', '-e', `trace=${calls}`, '-o', log];
    const ended = await place.backpack(['backup', 'source'], {
      before,
      ...(main === undefined ? {} : { main }),
    });
    if (ended.code !== 0) throw new Error(rig.describe(ended));
    return judge(readFileSync(log, 'utf8'), place.repo);
  }

  it('P01: a file before its name, a folder before the acknowledgement', async () => {
    const found = await trace();
    rig.figures('order', found);
    expect(found.problems).toEqual([]);
    expect(found.acknowledged).toBe(true);
    // At least a data pack, a meta pack, the index and the snapshot.
    expect(found.named).toBeGreaterThanOrEqual(4);
  }, 60_000);

  it.each([
    ['no fsync of files', 'await file.sync();', ''],
    ['no fsync of folders', 'await handle.sync();', ''],
  ])(
    'finds a planted fault: %s',
    async (name, from, to) => {
      const copy = new rig.Place();
      try {
        const found = await trace(rig.plant(copy, { 'storage/fs.js': [[from, to]] }));
        expect(found.problems, name).not.toEqual([]);
      } finally {
        copy.remove();
      }
    },
    60_000,
  );
});

/** Reads a trace and keeps account of what is not durable yet. */
function judge(
  text: string,
  repo: string,
): { problems: string[]; named: number; fsyncs: number; acknowledged: boolean } {
  /** Paths with changes that are not durable, and the line of the last change. */
  const dirty = new Map<string, number>();
  const problems: string[] = [];
  const open = new Map<string, { text: string; line: number }>();
  let named = 0;
  let fsyncs = 0;
  let acknowledged = false;
  const clean = (path: string): string => path.replace(/\/+$/, '');
  const own = (path: string): boolean => path === repo || path.startsWith(`${repo}/`);
  const parent = (path: string): string => path.slice(0, path.lastIndexOf('/'));
  const change = (path: string, line: number): void => {
    if (own(path)) dirty.set(path, line);
  };
  const ended = (call: string, started: number, line: number): void => {
    const name = call.slice(0, call.indexOf('('));
    const failed = / = -1 /.test(call);
    const fd = /^\w+\(\d+<([^>]*)>/.exec(call)?.[1];
    const paths = [...call.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map((match) => clean(match[1]!));
    if (/^(write|writev|pwrite64|pwritev|ftruncate)$/.test(name) && fd !== undefined) {
      if (own(fd)) change(fd, line);
      if (call.includes('"Snapshot ')) {
        acknowledged = true;
        for (const [path, at] of dirty)
          if (path !== `${repo}/tmp`)
            problems.push(`${path} was changed in line ${at} and not durable at the end`);
      }
    } else if (/^f(data)?sync$/.test(name) && fd !== undefined && own(fd)) {
      fsyncs += 1;
      const at = dirty.get(fd);
      // What was changed while the fsync ran may have been too late for it.
      if (!failed && at !== undefined && at < started) dirty.delete(fd);
    } else if (failed) {
      return;
    } else if (/^(link|rename)/.test(name)) {
      const [from, to] = paths as [string, string];
      if (!own(to)) return;
      named += 1;
      if (dirty.has(from)) problems.push(`${to} got its name before its content was durable`);
      change(parent(to), line);
    } else if (name.startsWith('mkdir')) {
      // The entry of a new folder lies in its parent.
      if (own(paths[0]!)) change(parent(paths[0]!), line);
    }
  };
  for (const [line, raw] of text.split('\n').entries()) {
    const [, pid, rest] = /^(\d+)\s+(.*)$/.exec(raw) ?? [];
    if (pid === undefined || rest === undefined) continue;
    if (rest.endsWith('<unfinished ...>')) {
      const start = rest.slice(0, -'<unfinished ...>'.length);
      open.set(pid, { text: start, line });
      // A line that is printed was there from its start on.
      if (start.includes('"Snapshot ')) ended(start, line, line);
    } else if (rest.startsWith('<... ')) {
      const start = open.get(pid);
      open.delete(pid);
      if (start !== undefined && !start.text.includes('"Snapshot '))
        ended(start.text + rest.replace(/^<\.\.\. \w+ resumed>/, ''), start.line, line);
    } else ended(rest, line, line);
  }
  return { problems, named, fsyncs, acknowledged };
}
