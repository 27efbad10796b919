/**
 * What a backup may use: compression, memory, bytes per second. Option, then environment, then the set, then the config
 * file; without any of them nothing is held back.
 */
import { BackpackError } from '../base/errors.ts';
import { createRateLimit, type RateLimit } from '../base/rate-limiter.ts';
import { parseSize } from '../base/sizes.ts';
import { type Compression, isCompression } from '../codec/compression.ts';
import type { Config, ConfigSet } from '../schema/index.ts';
import type { Context } from './context.ts';

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

/** @throws BackpackError BP_USAGE */
export function readBudget(
  { env }: Pick<Context, 'env'>,
  options: BudgetOptions,
  config: Config,
  set?: ConfigSet,
): Budget {
  const pick = (
    option: string | undefined,
    variable: string,
    file: string | number | undefined,
  ): string | undefined =>
    option ?? (env[variable] || undefined) ?? (file === undefined ? undefined : String(file));
  const { limits } = config;
  const memory = pick(options.memory, 'BACKPACK_MEMORY', limits?.memory);
  const read = pick(options.limitRead, 'BACKPACK_LIMIT_READ', limits?.readRate);
  const write = pick(options.limitWrite, 'BACKPACK_LIMIT_WRITE', limits?.writeRate);
  const level = pick(options.compression, 'BACKPACK_COMPRESSION', set?.compression ?? config.compression);
  return {
    compression: compressionOf(level ?? 'fast'),
    ...(memory === undefined ? {} : { memoryMax: size(memory, 'an amount of memory') }),
    ...(read === undefined ? {} : { readLimit: createRateLimit(size(read, 'bytes per second')) }),
    ...(write === undefined ? {} : { writeLimit: createRateLimit(size(write, 'bytes per second')) }),
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
