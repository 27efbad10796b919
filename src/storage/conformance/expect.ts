/** The few comparisons that the suite needs, so that it runs in any test framework and in none. */
import assert from 'node:assert/strict';
import { isBackpackError } from '../../base/errors.ts';

/** Comparisons of a value; each throws an AssertionError. */
export interface Expected {
  toBe(value: unknown): void;
  toEqual(value: unknown): void;
  toBeUndefined(): void;
  toBeLessThan(value: number): void;
  toBeAtLeast(value: number): void;
  toHaveLength(length: number): void;
  toMatch(pattern: RegExp): void;
}

/** @param message said with what is wrong */
export function expect(value: unknown, message?: string): Expected {
  const said = (text: string): string => (message === undefined ? text : `${message}: ${text}`);
  const check = (good: boolean, text: string): void => assert.ok(good, said(text));
  return {
    toBe: (other) => check(Object.is(value, other), `${show(value)} is not ${show(other)}`),
    toEqual: (other) => {
      try {
        assert.deepEqual(value, other);
      } catch {
        check(false, `${show(value)} does not equal ${show(other)}`);
      }
    },
    toBeUndefined: () => check(value === undefined, `${show(value)} is not undefined`),
    toBeLessThan: (other) => check((value as number) < other, `${show(value)} is not below ${other}`),
    toBeAtLeast: (other) => check((value as number) >= other, `${show(value)} is below ${other}`),
    toHaveLength: (length) => {
      const found = (value as { length: number }).length;
      check(found === length, `has ${found} items, not ${length}`);
    },
    toMatch: (pattern) => check(pattern.test(String(value)), `${show(value)} does not match ${pattern}`),
  };
}

function show(value: unknown): string {
  return (typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value))).slice(0, 300);
}

/** Code of the BackpackError that `action` throws, or `ok`; anything else that is thrown is thrown on. */
export async function codeOf(action: () => unknown): Promise<string> {
  try {
    await action();
    return 'ok';
  } catch (error) {
    if (isBackpackError(error)) return error.code;
    throw error;
  }
}
