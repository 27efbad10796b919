/** `backpack config show`: the settings and where each came from. */
import { type CommonOptions, type Context, exitCodes } from '../context.ts';
import { Voice } from '../render/output.ts';
import { safe, table } from '../render/text.ts';
import { readSettings } from '../settings.ts';

/** Runs the command. @returns the exit code */
export async function configShow(
  context: Context,
  options: CommonOptions & { readonly origin?: boolean },
): Promise<number> {
  const voice = new Voice(context, options);
  const settings = readSettings(context, options);
  const { config, configPath, location, key, keyFrom, threads } = settings;
  const rows: { key: string; value: unknown; origin: string; source: string }[] = [
    { key: 'repository', ...location },
    keyFrom !== undefined
      ? { key: keyFrom.source === '--key-fd' ? 'keyFd' : 'keyCommand', ...keyFrom, value: keyFrom.value.text }
      : { key: 'key', ...(key ?? { value: null, origin: 'default', source: 'chosen by repository id' }) },
    { key: 'limits.threads', ...(threads ?? { value: null, origin: 'default', source: 'one per core' }) },
  ];
  for (const { module, options: given } of config.extensions ?? []) {
    // Options of an extension may be secrets (an address that anyone may post to): only their names are shown.
    const value = given === undefined ? module : { module, options: Object.keys(given) };
    rows.push({ key: 'extensions', value, origin: 'file', source: configPath });
  }
  for (const [name, hooks] of Object.entries(config.hooks ?? {})) {
    if (!name.startsWith('//'))
      rows.push({ key: `hooks.${name}`, value: hooks, origin: 'file', source: configPath });
  }
  for (const [name, set] of Object.entries(config.sets ?? {})) {
    if (name.startsWith('//')) continue;
    for (const [field, value] of Object.entries(set)) {
      if (!field.startsWith('//'))
        rows.push({ key: `sets.${name}.${field}`, value, origin: 'file', source: configPath });
    }
  }
  for (const row of rows) voice.event({ type: 'config', ...row });
  const text = (value: unknown): string =>
    value === null ? '-' : typeof value === 'string' ? value : JSON.stringify(value);
  const origin = (row: (typeof rows)[number]): string[] =>
    options.origin === true ? [`${row.origin}: ${row.source}`] : [];
  voice.result(table(rows.map((row) => [row.key, ...origin(row), text(row.value)].map(safe))));
  voice.event({ type: 'summary', command: 'config show', values: rows.length });
  return exitCodes.ok;
}
