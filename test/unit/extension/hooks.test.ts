/** Hooks: order, declared sync or async, time limit, failure policy, and that an unused one costs nothing. */
import { describe, expect, test } from 'vitest';
import { BackpackError } from '../../../src/base/errors.ts';
import type { HookCall } from '../../../src/extension/define.ts';
import { AsyncHook, EntryHook, EventHook, type HookOutcome } from '../../../src/extension/hooks.ts';

const call: HookCall = {
  name: 'backup.before',
  operation: 'backup',
  moment: 'before',
  repository: '/r',
  startedMs: 0,
  elapsedMs: 0,
};
const file = { path: 'a/b.txt', kind: 'file', sizeBytes: 3, mtimeMs: 0 } as const;
const ignore = (): void => {};

describe('AsyncHook', () => {
  test('runs in the order in which functions were added, one after the other, whoever added them', async () => {
    const hook = new AsyncHook('backup.before', 'abort');
    expect(hook.noop).toBe(true);
    const seen: string[] = [];
    const slow = async (): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      seen.push('slow');
    };
    hook.by('one').add(slow);
    hook.by('two').add(() => void seen.push('fast'));
    expect(hook.noop).toBe(false);
    const told: HookOutcome[] = [];
    await hook.run(call, (outcome) => told.push(outcome));
    expect(seen).toEqual(['slow', 'fast']);
    expect(told.map(({ by, error }) => [by, error])).toEqual([
      ['one', undefined],
      ['two', undefined],
    ]);
  });

  test('a failure ends it with BP_HOOK_FAILED and its cause; with warn or ignore the next one runs', async () => {
    const cause = new Error('no disk');
    const fail = (): never => {
      throw cause;
    };
    const ran: string[] = [];
    const hook = new AsyncHook('backup.before', 'abort');
    hook.by('soft').add(fail, { onFailure: 'warn' });
    hook.by('softer').add(fail, { onFailure: 'ignore' });
    hook.by('hard').add(fail);
    hook.by('last').add(() => void ran.push('last'));
    const told: string[] = [];
    const running = hook.run(call, ({ by, error }) => told.push(`${by} ${error?.code}`));
    await expect(running).rejects.toMatchObject({ code: 'BP_HOOK_FAILED', kind: 'hook', cause });
    expect(told).toEqual(['soft BP_HOOK_FAILED', 'softer BP_HOOK_FAILED', 'hard BP_HOOK_FAILED']);
    expect(ran).toEqual([]);
  });

  test('time is limited, and the function is told', async () => {
    const hook = new AsyncHook('backup.before', 'abort');
    let told: AbortSignal | undefined;
    hook.add(
      (_, signal) => {
        told = signal;
        return new Promise(ignore);
      },
      { timeoutMs: 30 },
    );
    await expect(hook.run(call, ignore)).rejects.toThrow('took longer than 0.03 s');
    expect(told?.aborted).toBe(true);
  });

  test('a stopped command stops its hook at once, with the reason of the command', async () => {
    const hook = new AsyncHook('backup.before', 'warn');
    hook.add(() => new Promise(ignore));
    const abort = new AbortController();
    const reason = new BackpackError('BP_CANCELED', 'stopped', { kind: 'canceled' });
    setTimeout(() => abort.abort(reason), 20);
    await expect(hook.run(call, ignore, abort.signal)).rejects.toBe(reason);
  });
});

describe('EntryHook', () => {
  test('the first reason wins, with the name of the extension', () => {
    const hook = new EntryHook();
    hook.by('a').add(() => undefined);
    hook.by('b').add(({ path }) => (path.endsWith('.txt') ? 'text' : undefined));
    hook.by('c').add(() => 'all');
    expect(hook.decide(file)).toBe('b: text');
    expect(hook.decide({ ...file, path: 'x' })).toBe('c: all');
  });

  test('is synchronous by declaration: a promise is a failure, not a decision', () => {
    const hook = new EntryHook();
    hook.by('late').add((async () => 'skip') as never);
    expect(() => hook.decide(file)).toThrow(expect.objectContaining({ code: 'BP_HOOK_FAILED' }));
  });

  test('what it throws is BP_HOOK_FAILED with the name of the extension', () => {
    const hook = new EntryHook();
    hook.by('bad').add(() => {
      throw new TypeError('x is not a function');
    });
    expect(() => hook.decide(file)).toThrow('the hook entry of bad failed: x is not a function');
  });
});

describe('EventHook', () => {
  test('a listener that fails is told nothing more, and the others are', async () => {
    const hook = new EventHook();
    const seen: string[] = [];
    let failures = 0;
    hook.by('sync').add(() => {
      failures += 1;
      throw new Error('sync');
    });
    hook.by('async').add(async () => {
      throw new Error('async');
    });
    hook.by('good').add(async (event) => {
      await new Promise((resolve) => setTimeout(resolve, 10));
      seen.push(event.type);
    });
    hook.emit({ type: 'a' });
    hook.emit({ type: 'b' });
    const failed = await hook.settle();
    expect(seen).toEqual(['a', 'b']);
    expect(failures).toBe(1);
    expect(failed.map(({ message }) => message)).toEqual([
      'the hook event of sync failed: sync',
      'the hook event of async failed: async',
    ]);
  });

  test('is not waited for for ever', async () => {
    const hook = new EventHook();
    hook.by('stuck').add(() => new Promise(ignore));
    hook.emit({ type: 'a' });
    expect((await hook.settle(20)).map(({ code }) => code)).toEqual(['BP_HOOK_FAILED']);
  });
});
