/** Finds the value of one setting: option, then environment, then config file. The first that has one decides. */
import type { Setting } from '../config/load.ts';
import type { Context } from './context.ts';

/** Where one setting is looked for. */
export interface Places {
  readonly option?: string | undefined;
  /** What the option is called. */
  readonly flag?: string;
  /** Variables of the environment, the first that is not empty counts. */
  readonly variables?: readonly string[];
  /** Value of the config file, or of a set in it. */
  readonly file?: string | number | undefined;
}

/** Looks for a setting; undefined: it is given nowhere. */
export type PickSetting = (places: Places) => Setting<string> | undefined;

/** @param configPath the config file, for those who ask where a setting came from */
export function picker(env: Context['env'], configPath: string): PickSetting {
  return ({ option, flag = '', variables = [], file }) => {
    if (option !== undefined) return { value: option, origin: 'option', source: flag };
    const variable = variables.find((name) => (env[name] ?? '') !== '');
    if (variable !== undefined) return { value: env[variable]!, origin: 'environment', source: variable };
    return file === undefined ? undefined : { value: String(file), origin: 'file', source: configPath };
  };
}

/** The same setting with another form of its value. */
export function mapped<T, U>(
  setting: Setting<T> | undefined,
  change: (value: T) => U,
): Setting<U> | undefined {
  return setting && { ...setting, value: change(setting.value) };
}
