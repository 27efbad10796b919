/**
 * Transcripts: what a user types and what comes back, in text files that anyone can read and add to.
 *
 *     # comment; "# needs: COMMAND" on top skips the file when the shell command fails
 *     $ backpack list                       a command for the shell (lines that begin with "> " continue it)
 *     ID        TIME                        its standard output
 *     ! error: ...                          its standard error
 *     [1]                                   its exit code, 0 when there is no such line
 *
 * In expected lines <id>, <size>, <time> and the like stand for anything of that form (see `forms`); <dir> and <home> are
 * the working and home folder; <id:NAME> also sets the variable NAME for the commands that follow. A line "..." stands
 * for any number of lines.
 */
import type { Ran, World } from './support.ts';

/** One command and what is expected of it. */
export interface Step {
  readonly line: number;
  readonly command: string;
  readonly stdout: readonly string[];
  readonly stderr: readonly string[];
  readonly code: number;
}

/** Parses the text of a transcript. */
export function parseTranscript(text: string): { needs: string | undefined; steps: readonly Step[] } {
  const steps: { line: number; command: string; stdout: string[]; stderr: string[]; code: number }[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    if (line.startsWith('$ ')) {
      steps.push({ line: i + 1, command: line.slice(2), stdout: [], stderr: [], code: 0 });
      continue;
    }
    const step = steps.at(-1);
    const exit = /^\[(\d+)\]$/.exec(line);
    if (line === '' || line.startsWith('#')) continue;
    if (step === undefined) throw new Error(`line ${i + 1} is before the first command`);
    if (exit !== null) step.code = Number(exit[1]);
    else if (line.startsWith('> ')) step.command += `\n${line.slice(2)}`;
    else if (line === '!' || line.startsWith('! ')) step.stderr.push(line.slice(2));
    else step.stdout.push(line);
  }
  return { needs: /^# needs: (.+)$/m.exec(text)?.[1], steps };
}

const forms: Readonly<Record<string, string>> = {
  id: '[0-9a-f]{8}',
  repo: '[0-9a-f]{6}',
  hex: '[0-9a-f]+',
  size: '[0-9.]+ (?:B|[kMGT]B)',
  duration: '(?:[0-9.]+(?:ms|s|m|h) ?)+',
  time: '[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}',
  iso: '[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z',
  n: '(?:[0-9,]+|<n>)',
  ratio: '[0-9.]+x',
  host: '[^ "]+',
  any: '.*',
};

/** Compares a step with what happened; differences as lines, none when it fits. Named forms are put into the environment. */
export function compare(step: Step, ran: Ran, world: World): string[] {
  const problems: string[] = [];
  for (const stream of ['stdout', 'stderr'] as const) {
    const actual = visible(ran[stream]);
    const found = new RegExp(`^${pattern(step[stream], world)}$`).exec(actual);
    if (found === null) problems.push(`${stream} is:`, ...actual.split('\n').slice(0, -1));
    else Object.assign(world.env, found.groups);
  }
  if (ran.code !== step.code) problems.push(`exit code is ${ran.code}, not ${step.code}`);
  return problems.length === 0 ? [] : [`line ${step.line}: $ ${step.command}`, ...problems];
}

/** What is left in the end: erased lines are gone, progress and empty lines do not count. */
function visible(text: string): string {
  const lines = text.replaceAll('\r\n', '\n').split('\n');
  return lines
    .map((line) => line.slice(line.lastIndexOf('\u001b[2K') + 1).replace(/^\[2K/, ''))
    .filter((line) => line !== '' && !line.startsWith('{"type":"status",'))
    .map((line) => `${line}\n`)
    .join('');
}

function pattern(lines: readonly string[], world: World): string {
  return lines.map((line) => (line === '...' ? '(?:.*\\n)*?' : `${linePattern(line, world)}\\n`)).join('');
}

function linePattern(line: string, world: World): string {
  return line
    .split(/(<[a-z]+(?::[A-Z]+)?>|\$\{[A-Z]+\})/)
    .map((part) => {
      const variable = /^\$\{([A-Z]+)\}$/.exec(part)?.[1];
      if (variable !== undefined) return literal(world.env[variable] ?? part);
      const [, form, name] = /^<([a-z]+)(?::([A-Z]+))?>$/.exec(part) ?? [];
      if (form === 'dir') return `(?:${literal(world.dir)}|<dir>)`;
      if (form === 'home') return literal(world.home);
      const found = form === undefined ? undefined : forms[form];
      if (found === undefined) return literal(part);
      return name === undefined ? `(?:${found})` : `(?<${name}>${found})`;
    })
    .join('');
}

function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&').replace(/ {2,}/g, ' +');
}
