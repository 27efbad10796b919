/** What is told: everything that is known as JSON, a line for people, or a template of the user's with both. */
import { hostname } from 'node:os';
import type { HookCall } from 'backpack-cli/extension';
import type { Template } from './options.ts';

/** A line for people, as `backup on desk: done in 12 s, 1,204 files, 3.1 GB`. */
export function messageOf(call: HookCall): string {
  const { operation, moment, elapsedMs, error, exitCode, summary = {} } = call;
  const head = `${operation} on ${hostname()}`;
  if (moment === 'before') return `${head}: begins`;
  const seconds = `${(elapsedMs / 1000).toFixed(1)} s`;
  if (error !== undefined) return `${head}: FAILED after ${seconds}: ${error.message} (${error.code})`;
  const facts: string[] = [];
  const { files, stored, sourceErrors, damaged, shortId } = summary;
  if (typeof files === 'number') facts.push(`${files.toLocaleString('en-US')} files`);
  if (typeof stored === 'number') facts.push(`${(stored / 1e6).toFixed(1)} MB stored`);
  if (typeof shortId === 'string') facts.push(`snapshot ${shortId}`);
  if (typeof sourceErrors === 'number' && sourceErrors > 0) facts.push(`${sourceErrors} could not be read`);
  if (typeof damaged === 'number' && damaged > 0) facts.push(`DAMAGED in ${damaged} places`);
  const how =
    exitCode === 0 ? 'done' : exitCode === 3 ? 'done, but incomplete' : `FAILED, exit code ${exitCode}`;
  return [`${head}: ${how} in ${seconds}`, ...facts].join(', ');
}

/** Everything that is known. */
export function factsOf(call: HookCall): Record<string, unknown> {
  const { name, operation, moment, repository, set, startedMs, elapsedMs, exitCode, summary, error } = call;
  const time = new Date(startedMs + elapsedMs).toISOString();
  const known = {
    event: name,
    operation,
    moment,
    host: hostname(),
    repository,
    time,
    elapsedMs,
    text: messageOf(call),
  };
  const maybe = { set, exitCode, error, summary };
  return {
    ...known,
    ...Object.fromEntries(Object.entries(maybe).filter(([, value]) => value !== undefined)),
  };
}

/** Body of a notification and its type. */
export function bodyOf(template: Template, call: HookCall): { readonly type: string; readonly body: string } {
  const json = (value: unknown): { type: string; body: string } => ({
    type: 'application/json',
    body: JSON.stringify(value),
  });
  if (template === 'json') return json(factsOf(call));
  if (template === 'text') return { type: 'text/plain; charset=utf-8', body: messageOf(call) };
  if (template === 'slack') return json({ text: messageOf(call) });
  if (template === 'discord') return json({ content: messageOf(call) });
  return json(fill(template, factsOf(call)));
}

/** `{name}` and `{summary.files}` in texts are replaced; what is not known becomes nothing. */
function fill(template: unknown, facts: Readonly<Record<string, unknown>>): unknown {
  if (typeof template === 'string') {
    return template.replace(/\{([a-zA-Z]+(?:\.[a-zA-Z]+)?)\}/g, (_, path: string) => {
      const value = path
        .split('.')
        .reduce<unknown>((at, key) => (Object(at) as Record<string, unknown>)[key], facts);
      return value === undefined || typeof value === 'object' ? '' : String(value);
    });
  }
  if (Array.isArray(template)) return template.map((one) => fill(one, facts));
  if (typeof template !== 'object' || template === null) return template;
  return Object.fromEntries(Object.entries(template).map(([key, value]) => [key, fill(value, facts)]));
}
