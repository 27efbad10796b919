/** Budgets of a backup: option, then environment, then set, then config file. */
import { expect, it } from 'vitest';
import { readBudget } from '../../../src/cli/budget-settings.ts';
import { codeOf } from '../support.ts';

const config = {
  compression: 'lz4',
  limits: { memory: '512 MiB', readRate: 1000, writeRate: '2 MB' },
} as const;

it('holds nothing back unless told', () => {
  expect(readBudget({ env: {} }, {}, {})).toEqual({ compression: 'fast' });
});

it('takes the nearest word', () => {
  const file = readBudget({ env: {} }, {}, config);
  expect(file).toMatchObject({ compression: 'fast', memoryMax: 512 * 2 ** 20 });
  expect(file.readLimit?.bytesPerSecond).toBe(1000);
  expect(file.writeLimit?.bytesPerSecond).toBe(2_000_000);
  const set = { paths: ['x'], compression: 'high' } as const;
  expect(readBudget({ env: {} }, {}, config, set).compression).toBe('high');
  const env = {
    BACKPACK_COMPRESSION: 'none',
    BACKPACK_MEMORY: '1G',
    BACKPACK_LIMIT_READ: '5k',
    BACKPACK_LIMIT_WRITE: '',
  };
  const from = readBudget({ env }, {}, config, set);
  expect(from).toMatchObject({ compression: 'none', memoryMax: 2 ** 30 });
  expect(from.readLimit?.bytesPerSecond).toBe(5120);
  expect(from.writeLimit?.bytesPerSecond).toBe(2_000_000);
  const options = { compression: 'fast', memory: '300M', limitRead: '7', limitWrite: '1 MB' };
  const own = readBudget({ env }, options, config, set);
  expect(own).toMatchObject({ compression: 'fast', memoryMax: 300 * 2 ** 20 });
  expect([own.readLimit?.bytesPerSecond, own.writeLimit?.bytesPerSecond]).toEqual([7, 1_000_000]);
});

it.each([{ compression: 'zstd' }, { memory: 'much' }, { limitRead: '0' }, { limitWrite: '-1' }])(
  'refuses %j',
  (options) => {
    expect(codeOf(() => readBudget({ env: {} }, options, {}))).toBe('BP_USAGE');
  },
);
