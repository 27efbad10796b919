/** `backpack config show`: the settings in force and where each came from. */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { ignoredSettings, type Setting } from '../../config/load.ts';
import { budgetSettings } from '../budget-settings.ts';
import { type CommonOptions, type Context, exitCodes } from '../context.ts';
import { Voice } from '../render/output.ts';
import { bytesAsSet, safe, table } from '../render/text.ts';
import { readSettings, type Settings } from '../settings.ts';
import { storageSettings } from '../storage-settings.ts';

/** A setting as it is shown. */
interface Row extends Setting<unknown> {
  readonly key: string;
  /** The value for people, where it is not simply the value. */
  readonly text?: string;
}

/** Runs the command. @returns the exit code */
export async function configShow(
  context: Context,
  options: CommonOptions & { readonly origin?: boolean },
): Promise<number> {
  const voice = new Voice(context, options);
  const settings = readSettings(context, options);
  const rows = [...ownRows(settings), ...limitRows(context, options, settings), ...fileRows(settings)];
  for (const { key, value, origin, source } of rows)
    voice.event({ type: 'config', key, value, origin, source });
  const origin = (row: Row): string[] => (options.origin === true ? [`${row.origin}: ${row.source}`] : []);
  // What has no value is told by where it would come from: no limit, as needed.
  const text = ({ value, text: own, source }: Row): string =>
    own ??
    (value === null
      ? options.origin === true
        ? '-'
        : source
      : typeof value === 'string'
        ? value
        : JSON.stringify(value));
  voice.result(table(rows.map((row) => [row.key, ...origin(row), text(row)].map(safe))));
  for (const name of ignoredSettings(settings.config)) {
    const message = `this version ignores the setting ${name} of ${settings.configPath}`;
    voice.event({ type: 'warning', code: 'BP_SETTING_IGNORED', message });
    voice.warn(`warning: ${safe(message)}\n`);
  }
  voice.event({ type: 'summary', command: 'config show', values: rows.length });
  return exitCodes.ok;
}

/** Without a value: the words say what happens then. */
function byDefault(words: string, value: unknown = null): Setting<unknown> {
  return { value, origin: 'default', source: words };
}

/** Where everything is. */
function ownRows({ configFrom, location, key, keyFrom }: Settings): Row[] {
  const missing = existsSync(configFrom.value) ? {} : { text: `${configFrom.value} (there is none)` };
  return [
    { key: 'config', ...configFrom, ...missing },
    { key: 'repository', ...location },
    keyFrom !== undefined
      ? { key: keyFrom.source === '--key-fd' ? 'keyFd' : 'keyCommand', ...keyFrom, value: keyFrom.value.text }
      : { key: 'key', ...(key ?? byDefault('chosen by repository id')) },
  ];
}

/** What it may use, and how a storage elsewhere is reached. */
function limitRows(context: Context, options: CommonOptions, settings: Settings): Row[] {
  const { config, configPath, threads, spec } = settings;
  const budget = budgetSettings(context, {}, config, configPath);
  const storage = storageSettings(context, options, config, configPath);
  const size = (key: string, setting: Setting<number> | undefined, none: string, unit = ''): Row =>
    setting === undefined
      ? { key, ...byDefault(none) }
      : { key, ...setting, text: `${bytesAsSet(setting.value)}${unit}` };
  const rate = (key: string, setting: Setting<number> | undefined): Row =>
    size(key, setting, 'no limit', '/s');
  const ifGiven = (key: string, setting: Setting<unknown> | undefined): Row[] =>
    setting === undefined ? [] : [{ key, ...setting }];
  const { endpoint, region } = storage;
  const s3 = spec.s3 === undefined ? {} : (config.s3 ?? {});
  return [
    { key: 'compression', ...budget.compression },
    { key: 'limits.threads', ...(threads ?? byDefault('one per core', availableParallelism())) },
    size('limits.memory', budget.memory, 'as needed'),
    rate('limits.readRate', budget.readRate),
    rate('limits.writeRate', budget.writeRate),
    rate('limits.uploadRate', storage.uploadRate),
    rate('limits.downloadRate', storage.downloadRate),
    { key: 'limits.connections', ...(storage.connections ?? byDefault('by storage')) },
    { key: 'limits.timeout', ...(storage.timeout ?? byDefault('built in', 60)) },
    { key: 'cache', ...(storage.cache ?? byDefault('built in', false)) },
    ...ifGiven('accessKey', storage.accessKey),
    ...ifGiven('tls', storage.tls),
    ...ifGiven('tlsFingerprint', storage.tlsFingerprint),
    ...(spec.s3 === undefined ? [] : [...ifGiven('s3.endpoint', endpoint), ...ifGiven('s3.region', region)]),
    ...Object.entries(s3)
      .filter(([name]) => !name.startsWith('//') && name !== 'endpoint' && name !== 'region')
      .map(([name, value]) => ({ key: `s3.${name}`, value, origin: 'file' as const, source: configPath })),
  ];
}

/** What only the config file can say. */
function fileRows({ config, configPath }: Settings): Row[] {
  const rows: Row[] = [];
  const add = (key: string, value: unknown): void => {
    // Comments; a name of a set has no slash.
    if (!key.includes('//')) rows.push({ key, value, origin: 'file', source: configPath });
  };
  for (const { module, options: given } of config.extensions ?? []) {
    // Options of an extension may be secrets (an address that anyone may post to): only their names are shown.
    add('extensions', given === undefined ? module : { module, options: Object.keys(given) });
  }
  for (const [name, hooks] of Object.entries(config.hooks ?? {})) add(`hooks.${name}`, hooks);
  for (const [name, set] of Object.entries(config.sets ?? {})) {
    for (const [field, value] of Object.entries(set)) add(`sets.${name}.${field}`, value);
  }
  return rows;
}
