/** About half of all restored times were one microsecond early, because a double was cut off instead of rounded. */
import { closeSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { setMetadata } from '../../src/target/metadata.ts';
import { temporaryFolder } from '../unit/support.ts';

// Node's own function is what is left without koffi.
vi.mock('../../src/platform/libc.ts', () => ({ libc: () => undefined }));

it('sets times to the microsecond', () => {
  const path = join(temporaryFolder(), 'file');
  const fd = openSync(path, 'w');
  for (let i = 0; i < 200; i += 1) {
    const micro = String((i * 5003) % 1_000_000).padStart(6, '0');
    for (const seconds of ['0', '1', '1700000000', '1795416585', '4102444800']) {
      setMetadata(fd, { mode: '0644', mtime: `${seconds}.${micro}999`, uid: undefined, gid: undefined });
      expect(statSync(path, { bigint: true }).mtimeNs / 1000n).toBe(BigInt(seconds + micro));
    }
  }
  setMetadata(fd, { mode: '0644', mtime: '1700000000.999999999', uid: undefined, gid: undefined });
  expect(statSync(path, { bigint: true }).mtimeNs / 1_000_000_000n).toBe(1_700_000_000n);
  closeSync(fd);
});
