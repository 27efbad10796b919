/**
 * What a backup may use: compression, memory, bytes per second. Option, then environment, then the set, then the config
 * file; without any of them nothing is held back.
 */
import { BackpackError } from '../base/errors.ts';
import { createRateLimit, type RateLimit } from '../base/rate-limiter.ts';
import { parseSize } from '../base/sizes.ts';
import { type Compression, isCompression } from '../codec/compression.ts';
import type { Setting } from '../config/load.ts';
import type { Config, ConfigSet } from '../schema/index.ts';
import type { Context } from './context.ts';
import { mapped, picker } from './pick.ts';

/** Options of a command that stores data. */
export interface BudgetOptions {
  readonly compression?: string;
  readonly memory?: string;
  readonly limitRead?: string;
  readonly limitWrite?: string;
}

/** What was found; what is missing has no limit. */
export interface Budget {
  readonly compression: Compression;
  readonly memoryMax?: number;
  readonly readLimit?: RateLimit;
  readonly writeLimit?: RateLimit;
}

/** The same with where it came from; sizes and rates in bytes. */
export interface BudgetSettings {
  readonly compression: Setting<Compression>;
  readonly memory: Setting<number> | undefined;
  readonly readRate: Setting<number> | undefined;
  readonly writeRate: Setting<number> | undefined;
}

/** @throws BackpackError BP_USAGE */
export function budgetSettings(
  { env }: Pick<Context, 'env'>,
  options: BudgetOptions,
  config: Config,
  configPath: string,
  set?: ConfigSet,
): BudgetSettings {
  const pick = picker(env, configPath);
  const { limits } = config;
  const level = pick({
    option: options.compression,
    flag: '--compression',
    variables: ['BACKPACK_COMPRESSION'],
    file: set?.compression ?? config.compression,
  });
  const memory = pick({
    option: options.memory,
    flag: '--memory',
    variables: ['BACKPACK_MEMORY'],
    file: limits?.memory,
  });
  const read = pick({
    option: options.limitRead,
    flag: '--limit-read',
    variables: ['BACKPACK_LIMIT_READ'],
    file: limits?.readRate,
  });
  const write = pick({
    option: options.limitWrite,
    flag: '--limit-write',
    variables: ['BACKPACK_LIMIT_WRITE'],
    file: limits?.writeRate,
  });
  const rate = (text: string): number => size(text, 'bytes per second');
  return {
    compression: mapped(level, compressionOf) ?? { value: 'fast', origin: 'default', source: 'built in' },
    memory: mapped(memory, (text) => size(text, 'an amount of memory')),
    readRate: mapped(read, rate),
    writeRate: mapped(write, rate),
  };
}

/** @throws BackpackError BP_USAGE */
export function readBudget(
  context: Pick<Context, 'env'>,
  options: BudgetOptions,
  config: Config,
  set?: ConfigSet,
): Budget {
  const found = budgetSettings(context, options, config, '', set);
  const { compression, memory, readRate, writeRate } = found;
  return {
    compression: compression.value,
    ...(memory === undefined ? {} : { memoryMax: memory.value }),
    ...(readRate === undefined ? {} : { readLimit: createRateLimit(readRate.value) }),
    ...(writeRate === undefined ? {} : { writeLimit: createRateLimit(writeRate.value) }),
  };
}

function compressionOf(text: string): Compression {
  // The word that the first version of the config file had.
  if (text === 'lz4') return 'fast';
  if (isCompression(text)) return text;
  throw usage(`not a compression: ${text}`, 'give none, fast or high');
}

function size(text: string, what: string): number {
  const bytes = parseSize(text);
  if (bytes !== undefined && bytes >= 1) return bytes;
  throw usage(`not ${what}: ${text}`, 'give a number of bytes, or a size such as 512M or "10 MB"');
}

function usage(message: string, hint: string): BackpackError {
  return new BackpackError('BP_USAGE', message, { kind: 'usage', hint });
}
