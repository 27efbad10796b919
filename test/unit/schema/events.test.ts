import { readdirSync, readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';

const folder = new URL('../../../schemas/', import.meta.url);
const schemas = readdirSync(folder).map((name) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')));
const validate = new Ajv2020({ strict: true, schemas }).getSchema('backpack:v1/events');
const id = '0197f3a2b4c5d6e7f8091a2b3c4d5e6f70819203';

const status = {
  type: 'status',
  seq: 1,
  elapsedMs: 1000,
  bytesDone: 9,
  bytesRead: 5,
  bytesSent: 0,
  bytesTotal: null,
  filesDone: 0,
  remainingMs: null,
};
const error = {
  type: 'error',
  code: 'BP_NOT_FOUND',
  message: 'no repository',
  hint: 'backpack init',
  exitCode: 10,
};
const summary = (command: string, rest: object) => ({ type: 'summary', command, elapsedMs: 5, ...rest });
const backup = summary('backup', { snapshotId: id, files: 3, bytes: 9, stored: 5, sourceErrors: 0 });

describe('events', () => {
  it.each([
    [status],
    [{ ...status, bytesTotal: 10, remainingMs: 0, later: 1 }],
    [error],
    [{ type: 'warning', code: 'BP_KIT_OLD', message: 'the recovery kit is older than this program' }],
    [{ type: 'source-error', path: ['/w=='], code: 'EACCES', message: 'permission denied' }],
    [
      {
        type: 'damage',
        code: 'E_TAG',
        object: 'packs/0197f/x.bpk',
        record: 3,
        message: 'bad',
        snapshots: [id],
        paths: ['a'],
      },
    ],
    [
      {
        type: 'snapshot',
        snapshotId: id,
        time: '2026-11-23T05:38:10Z',
        host: 'h',
        roots: ['d'],
        tags: [],
        partial: false,
        files: 3,
        bytes: 9,
      },
    ],
    [{ type: 'entry', path: 'd/x', kind: 'f', size: 5, mtime: '1700000000.000000000', mode: '0644' }],
    [{ type: 'config', key: 'limits.threads', value: 4, origin: 'file', source: 'config.json' }],
    [backup],
    [{ ...backup, snapshotId: null, dryRun: true }],
    [summary('restore', { snapshotId: id, files: 3, bytes: 9, damaged: 0 })],
    [summary('check', { snapshots: 1, objects: 4, damaged: 0 })],
    [summary('init', { repositoryId: '0'.repeat(32), keyId: '0'.repeat(16), location: '/r', keyFile: '/k' })],
    [summary('list', { snapshots: 1 })],
    [summary('ls', { snapshotId: id, entries: 3 })],
    [summary('config show', { values: 3 })],
    [summary('prune', {})],
    [{ type: 'a-later-type', x: 1 }],
  ])('accepts %j', (value) => {
    expect(validate?.(value), JSON.stringify(validate?.errors)).toBe(true);
  });

  it.each([
    [{}],
    [[]],
    [{ type: '' }],
    [{ ...status, seq: 0 }],
    [{ ...status, bytesTotal: -1 }],
    [{ ...status, remainingMs: undefined }].map((value) => JSON.parse(JSON.stringify(value))),
    [{ ...error, code: 'ENOENT' }],
    [{ ...error, exitCode: 0 }],
    [{ type: 'source-error', path: 'a\n', code: 'EACCES', message: 'x' }],
    [{ type: 'damage', code: 'E_TAG', message: 'x' }],
    [{ type: 'entry', path: 'd', kind: 'd', mtime: 'x', mode: '0755' }],
    [{ type: 'config', key: 'a', value: 1, origin: 'elsewhere' }],
    [{ type: 'summary' }],
    [{ ...backup, snapshotId: 'latest' }],
    [summary('restore', { files: 3 })],
    [summary('check', { snapshots: 1 })],
    [summary('init', { repositoryId: 'x' })],
    [summary('list', {})],
    [summary('ls', {})],
    [summary('config show', {})],
  ])('rejects %j', (value) => {
    expect(validate?.(value)).toBe(false);
  });
});
