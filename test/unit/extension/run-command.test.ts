/** External commands: exit codes, bounded output, and that a whole process group ends in time. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type CommandRun, runCommand } from '../../../src/extension/run-command.ts';

const folder = mkdtempSync(join(tmpdir(), 'backpack-hook-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const env = { PATH: process.env['PATH'] ?? '' };
const sh = (script: string, more: Partial<CommandRun> = {}): ReturnType<typeof runCommand> =>
  runCommand({ command: ['sh', '-c', script], env, timeoutMs: 10_000, outputMax: 100, ...more });
const alive = (pid: number): boolean => {
  try {
    // A process that ended and was not waited for is a zombie: state Z.
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
};

describe('runCommand', () => {
  test('output of both streams and the exit code', async () => {
    const end = await sh('echo out; echo err >&2; exit 3');
    expect(end).toMatchObject({ problem: 'ended with exit code 3', exitCode: 3, cut: false });
    expect(end.output.toString().split('\n').sort()).toEqual(['', 'err', 'out']);
  });

  test('keeps the end of long output', async () => {
    const last = await sh('i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done');
    expect([last.problem, last.cut, last.output.length]).toEqual([undefined, true, 100]);
    expect(last.output.toString()).toMatch(/line 4999\n$/);
  });

  test('with stdoutOnly, too much output ends it', async () => {
    const { problem, cut, output } = await sh('cat /dev/zero', { stdoutOnly: true });
    expect([problem, cut, output.length]).toEqual(['printed too much', true, 100]);
  });

  test('a missing program and one that a signal ended are told apart', async () => {
    const run = { env, timeoutMs: 1000, outputMax: 10 };
    expect((await runCommand({ ...run, command: ['no-such-program-here'] })).problem).toBe('was not found');
    expect((await runCommand({ ...run, command: [folder] })).problem).toMatch(/^cannot be started: /);
    expect((await sh('kill -9 $$')).problem).toBe('was ended by SIGKILL');
  });

  test('gets the given environment, nothing else, and no input', async () => {
    process.env['BACKPACK_TEST_SECRET'] = 'secret';
    const { output } = await sh('cat; env', { outputMax: 10_000, env: { ...env, ONE: '1' } });
    delete process.env['BACKPACK_TEST_SECRET'];
    const names = output.toString().match(/^\w+(?==)/gm) ?? [];
    expect(names.filter((name) => !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(name)).sort()).toEqual([
      'ONE',
      'PATH',
    ]);
  });

  test.each([
    ['when its time is over', () => ({ timeoutMs: 500 }), 'took longer than 0.5 s'],
    ['when the command is stopped', () => ({ signal: AbortSignal.timeout(500) }), 'was stopped'],
  ])('the whole group ends %s', async (_, more, problem) => {
    const pids = join(folder, 'pids');
    rmSync(pids, { force: true });
    const begun = performance.now();
    const end = await sh(`(echo $(sh -c 'echo $PPID') > '${pids}'; sleep 60) & sleep 60`, more());
    expect(end.problem).toBe(problem);
    expect(performance.now() - begun).toBeLessThan(5000);
    const pid = Number(readFileSync(pids, 'utf8'));
    expect(pid).toBeGreaterThan(1);
    for (let i = 0; i < 50 && alive(pid); i += 1) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(alive(pid)).toBe(false);
  });

  test('one that ignores SIGTERM is ended too', async () => {
    const begun = performance.now();
    const end = await sh(`trap '' TERM; while :; do sleep 0.1; done`, { timeoutMs: 200 });
    expect(end.problem).toBe('took longer than 0.2 s');
    expect(performance.now() - begun).toBeLessThan(8000);
  });

  test('what a command leaves in the background is neither waited for nor ended', async () => {
    const mark = join(folder, 'mark');
    const begun = performance.now();
    const end = await sh(`(sleep 1; echo > '${mark}') & echo started`);
    expect([end.problem, end.output.toString()]).toEqual([undefined, 'started\n']);
    expect(performance.now() - begun).toBeLessThan(900);
    for (let i = 0; i < 100 && !existsSync(mark); i += 1)
      await new Promise((resolve) => setTimeout(resolve, 50));
    expect(existsSync(mark)).toBe(true);
  });
});
