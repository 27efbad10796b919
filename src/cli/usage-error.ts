/** What the parser of the command line refuses, and what was meant, as far as it can be guessed. */
import { BackpackError } from '../base/errors.ts';
import { shell } from './again.ts';

/** What other programs of this kind call it, and what does the same here. */
const here: Readonly<Record<string, string>> = {
  snapshots: 'backpack list',
  create: 'backpack backup PATH...',
  save: 'backpack backup PATH...',
  extract: 'backpack restore SNAPSHOT --to DIR',
  verify: 'backpack check',
  dump: 'backpack restore SNAPSHOT:PATH --to DIR',
  mount: 'backpack restore SNAPSHOT:PATH --to DIR',
  find: 'backpack ls SNAPSHOT | grep NAME',
};
/** What they have, and this version has not. */
const notYet =
  /^(?:forget|prune|delete|compact|copy|diff|repair|recover|tag|key|stats|status|doctor|undo|drill)$/;

function elsewhereCalled(command = ''): string | undefined {
  if (Object.hasOwn(here, command)) return here[command];
  return notYet.test(command) ? 'this version cannot do that yet; README.md says what it can' : undefined;
}

/** A path that was given beside its snapshot. */
function pathApart(message: string, [command, snapshot, path]: readonly string[]): string | undefined {
  if (!/^too many arguments for '(?:ls|restore)'/.test(message)) return undefined;
  const plain = [snapshot, path].every((word) => word !== undefined && !word.startsWith('-'));
  const example = plain ? shell(`${snapshot}:${path}`) : 'SNAPSHOT:PATH';
  return `one path, behind a colon: backpack ${command} ${example}${command === 'restore' ? ' --to DIR' : ''}`;
}

/** BP_USAGE from a message of the parser. @param words what was given @param commands names of all commands */
export function usageError(
  text: string,
  words: readonly string[],
  commands: readonly string[],
): BackpackError {
  const [message = '', suggestion = ''] = text.replace(/^error: /, '').split('\n');
  const nearest = /^\(Did you mean (.+)\?\)$/.exec(suggestion)?.[1];
  const [command] = words;
  if (command?.startsWith('-') && message.startsWith('unknown option')) {
    return new BackpackError('BP_USAGE', `${message} before the command`, {
      kind: 'usage',
      hint: `options come after the command: ${reordered(words, commands)}`,
    });
  }
  const unknown = message.startsWith('unknown command');
  const help = command === undefined || unknown ? '' : `${command} `;
  const meant = unknown ? elsewhereCalled(command) : pathApart(message, words);
  return new BackpackError('BP_USAGE', message, {
    kind: 'usage',
    hint: meant ?? (nearest === undefined ? `backpack ${help}--help` : `did you mean ${nearest}?`),
  });
}

/** The same words with the command first, as they may be typed. */
function reordered(words: readonly string[], commands: readonly string[]): string {
  const isCommand = (word: string): boolean => commands.includes(word);
  // What follows an option is its value more often than a command.
  const after = words.findIndex((word, i) => isCommand(word) && words[i - 1]?.startsWith('-') !== true);
  const at = after === -1 ? words.findIndex(isCommand) : after;
  const [command, others] = at === -1 ? ['COMMAND', words] : [words[at]!, words.toSpliced(at, 1)];
  return ['backpack', command, ...others.map(shell)].join(' ');
}
