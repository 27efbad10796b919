/** Notifications and pings arrive at a real HTTP server, are tried again, end in time, and tell no secrets. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExtensionApi, HookCall } from 'backpack-cli/extension';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import extension from '../src/index.ts';
import { bodyOf, messageOf } from '../src/message.ts';
import { readOptions } from '../src/options.ts';
import { send } from '../src/send.ts';

interface Got {
  readonly path: string;
  readonly type: string | undefined;
  readonly authorization: string | undefined;
  readonly body: string;
}

let server: Server;
let base: string;
let got: Got[] = [];
/** Answers in turn; 200 when there are no more; 0 never answers. */
let answers: (number | readonly [number, Record<string, string>])[] = [];
beforeAll(async () => {
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (part) => {
      body += part;
    });
    request.on('end', () => {
      const { 'content-type': type, authorization } = request.headers;
      got.push({ path: request.url ?? '', type, authorization, body });
      const answer = answers.shift() ?? 200;
      const [status, headers] = typeof answer === 'number' ? [answer, {}] : answer;
      if (status !== 0) response.writeHead(status, headers).end('ok');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  got = [];
  answers = [];
});

const call: HookCall = {
  name: 'backup.after',
  operation: 'backup',
  moment: 'after',
  repository: '/mnt/usb',
  startedMs: 0,
  elapsedMs: 12_345,
  exitCode: 0,
  summary: { type: 'summary', files: 1204, stored: 3_100_000, shortId: '7c41e0aa' },
};
const failure: HookCall = {
  ...call,
  name: 'backup.failed',
  moment: 'failed',
  exitCode: 13,
  error: { code: 'BP_STORAGE_IO', message: 'the disk is gone' },
};
const sending = (more: object): Parameters<typeof send>[0] => ({
  url: `${base}/secret-path`,
  headers: {},
  body: 'x',
  timeoutMs: 300,
  retries: 2,
  pauseMs: 5,
  signal: new AbortController().signal,
  ...more,
});

describe('send', () => {
  test('tries again after 5xx, 429 and silence', async () => {
    answers = [503, [429, { 'retry-after': '0' }], 200];
    await send(sending({}));
    expect(got.length).toBe(3);
    answers = [0, 200];
    await send(sending({}));
    expect(got.length).toBe(5);
  });

  test('does not try again after 404, follows no redirect, and never repeats the address', async () => {
    answers = [404];
    const error = await send(sending({})).catch((e: Error) => e);
    expect(error).toMatchObject({
      code: 'BP_WEBHOOK',
      message: `nothing could be sent to ${base.slice(7)}: it answered 404`,
    });
    answers = [[302, { location: `${base}/elsewhere` }]];
    await expect(send(sending({}))).rejects.toThrow('it answered 302');
    expect(got.map(({ path }) => path)).toEqual(['/secret-path', '/secret-path']);
  });

  test('gives up in time', async () => {
    answers = [0, 0, 0];
    const begun = performance.now();
    await expect(send(sending({}))).rejects.toThrow('no answer for 0.3 s (3 attempts)');
    expect(performance.now() - begun).toBeLessThan(3000);
    await expect(send(sending({ url: 'http://127.0.0.1:1/' }))).rejects.toThrow(
      /ECONNREFUSED|fetch failed|bad port/,
    );
  });

  test('ends when its hook is stopped', async () => {
    answers = [0];
    await expect(send(sending({ timeoutMs: 60_000, signal: AbortSignal.timeout(50) }))).rejects.toThrow(
      'it was stopped',
    );
  });
});

describe('messages', () => {
  test('for people', () => {
    expect(messageOf(call)).toMatch(
      /^backup on .+: done in 12\.3 s, 1,204 files, 3\.1 MB stored, snapshot 7c41e0aa$/,
    );
    expect(messageOf({ ...call, exitCode: 3, summary: { sourceErrors: 2 } })).toMatch(
      /done, but incomplete in 12\.3 s, 2 could not be read$/,
    );
    expect(messageOf(failure)).toMatch(/: FAILED after 12\.3 s: the disk is gone \(BP_STORAGE_IO\)$/);
  });

  test('templates', () => {
    const facts = JSON.parse(bodyOf('json', failure).body);
    expect(facts).toMatchObject({
      event: 'backup.failed',
      exitCode: 13,
      error: failure.error,
      repository: '/mnt/usb',
    });
    expect(JSON.parse(bodyOf('slack', call).body)).toEqual({ text: messageOf(call) });
    expect(JSON.parse(bodyOf('discord', call).body)).toEqual({ content: messageOf(call) });
    expect(bodyOf('text', call).body).toBe(messageOf(call));
    const own = bodyOf(
      { title: '{operation} {error.code}', list: ['{summary.files}', 5], n: '{nothing}' },
      call,
    );
    expect(JSON.parse(own.body)).toEqual({ title: 'backup ', list: ['1204', 5], n: '' });
  });
});

describe('options', () => {
  test.each([
    {},
    { url: 'ftp://x/' },
    { url: 'https://x/', urlFile: 'y' },
    { url: 'https://x/', events: ['backup.during'] },
    { url: 'https://x/', template: 'html' },
    { url: 'https://x/', timeout: 0 },
    { url: 'https://x/', retries: 1.5 },
    { url: 'https://x/', headers: { a: 1 } },
    { url: 'https://x/', tokenFile: '/no/such/file' },
    { ping: 'https://x/', pingOn: ['list'] },
    { url: 'https://x/', password: 'x' },
  ])('refuses %j', (given) =>
    expect(() => readOptions(given)).toThrow(expect.objectContaining({ code: 'BP_WEBHOOK_OPTIONS' })),
  );

  test('a wrong address is not repeated', () => {
    expect(() => readOptions({ url: 'secret' })).toThrow(/^(?!.*secret).*holds no http/);
  });
});

test('setup adds what the options say, and a failure only warns', () => {
  const added: string[] = [];
  const hooks = new Proxy(
    {},
    {
      get: (_, operation: string) =>
        new Proxy(
          {},
          {
            get: (__, moment: string) => ({
              add: (___: unknown, { onFailure }: { onFailure: string }) =>
                added.push(`${operation}.${moment} ${onFailure}`),
            }),
          },
        ),
    },
  );
  extension.setup({ options: { url: base, ping: base, events: ['check.failed'] }, hooks } as ExtensionApi);
  expect(added).toEqual([
    'check.failed warn',
    'backup.before warn',
    'backup.after warn',
    'backup.failed warn',
  ]);
});

describe('with the command', () => {
  const dir = mkdtempSync(join(tmpdir(), 'backpack-webhook-'));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  const main = join(import.meta.dirname, '../../../dist/cli/main.js');
  // The server answers from this process, so the command runs beside it.
  const run = (...words: string[]): Promise<{ status: number | null; stderr: string }> =>
    new Promise((resolve) => {
      const child = spawn(process.execPath, [main, ...words], {
        cwd: dir,
        env: { HOME: dir, PATH: process.env['PATH'] },
      });
      let stderr = '';
      child.stderr.on('data', (bytes: Buffer) => {
        stderr += bytes.toString();
      });
      child.on('close', (status) => resolve({ status, stderr }));
    });

  test('a backup pings start and success, a failed one start and fail; both are told; no key, no file name', async () => {
    mkdirSync(join(dir, '.config/backpack'), { recursive: true });
    mkdirSync(join(dir, 'docs'));
    writeFileSync(join(dir, 'docs/very-private-name'), 'one\n');
    writeFileSync(join(dir, 'token'), 'tk_1\n', { mode: 0o600 });
    writeFileSync(
      join(dir, '.config/backpack/config.json'),
      JSON.stringify({
        extensions: [
          {
            module: join(import.meta.dirname, '../dist/index.js'),
            options: {
              url: `${base}/notify`,
              ping: `${base}/ping/uuid/`,
              tokenFile: join(dir, 'token'),
              retries: 0,
            },
          },
        ],
      }),
    );
    const done = await run('backup', 'docs');
    expect([done.status, done.stderr.includes('warning')]).toEqual([0, false]);
    expect(got.map(({ path }) => path)).toEqual(['/ping/uuid/start', '/notify', '/ping/uuid']);
    const [, notified] = got;
    expect(JSON.parse(notified!.body)).toMatchObject({
      event: 'backup.after',
      exitCode: 0,
      summary: { files: 1 },
    });
    expect(notified).toMatchObject({ type: 'application/json', authorization: 'Bearer tk_1' });
    expect(got[0]!.authorization).toBeUndefined();
    expect(JSON.stringify(got)).not.toContain('very-private-name');

    got = [];
    expect((await run('backup', 'absent')).status).toBe(1);
    expect(got.map(({ path }) => path)).toEqual(['/ping/uuid/start', '/notify', '/ping/uuid/fail']);
    expect(JSON.parse(got[1]!.body)).toMatchObject({
      event: 'backup.failed',
      error: { code: 'BP_SOURCE_MISSING' },
    });

    // A server that refuses is a warning; the backup is there.
    answers = [500, 500, 500];
    const warned = await run('backup', 'docs');
    expect(warned.status).toBe(0);
    expect(warned.stderr.match(/^warning: .*it answered 500.*\(BP_HOOK_FAILED\)$/gm)?.length).toBe(3);
    expect(warned.stderr).not.toContain('uuid');
  });
});
