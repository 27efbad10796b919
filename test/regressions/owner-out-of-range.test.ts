/** An owner that no system has ended the whole restore as a fault of the program. */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { setMetadata } from '../../src/target/metadata.ts';
import { temporaryFolder } from '../unit/support.ts';

it.runIf(process.getuid?.() === 0).each([2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER])(
  'refuses %i for this file only',
  (uid) => {
    const fd = openSync(join(temporaryFolder(), 'a'), 'wx');
    const metadata = { mode: '4755', mtime: '0.000000000', uid, gid: 0 };
    const lost = setMetadata(fd, metadata);
    expect(lost).toEqual([`owner ${uid}:0 (ERANGE)`, 'setuid or setgid (the owner is another one)']);
    expect(fstatSync(fd).mode & 0o7777).toBe(0o755);
    closeSync(fd);
  },
);
