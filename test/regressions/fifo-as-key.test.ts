/** A FIFO given as key file was waited for without an end. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readKeyBytes } from '../../src/config/key-store.ts';
import { codeOf, temporaryFolder } from '../unit/support.ts';

it('a FIFO is no key file', () => {
  const path = join(temporaryFolder(), 'key');
  execFileSync('mkfifo', ['-m', '600', path]);
  expect(codeOf(() => readKeyBytes(path))).toBe('BP_KEY_FILE');
});
