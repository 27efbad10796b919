/** What a command gets from outside: streams, environment, arguments. Only the command line touches `process`. */
import type { BackpackError } from '../base/errors.ts';
import type { ProgramEvent } from '../extension/define.ts';
import type { Extensions } from '../extension/load.ts';

/** A place to write text to. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** The world of one command. */
export interface Context {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Name and version of the program. */
  readonly app: string;
  readonly signal: AbortSignal;
  /** What the extensions of the config file added. */
  extensions?: Extensions;
  /** A command with hooks calls it when it has understood its options, before it does anything: runs hooks `before`. */
  begun?: () => Promise<void>;
  /** Listens to events of the command; true keeps one from being written now. */
  onEvent?: (event: ProgramEvent) => boolean;
  /** Asks whoever sits at the terminal; missing where nobody does. */
  readonly ask?: (question: string) => Promise<string>;
}

/** Options that every command has. */
export interface CommonOptions {
  readonly repo?: string;
  readonly key?: string;
  readonly keyCommand?: string;
  readonly keyFd?: string;
  readonly config?: string;
  readonly s3Endpoint?: string;
  readonly accessKey?: string;
  readonly tls?: string;
  readonly tlsFingerprint?: string;
  readonly connections?: string;
  readonly limitUpload?: string;
  readonly limitDownload?: string;
  readonly timeout?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
}

/** Exit codes: part of the contract with scripts. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  incomplete: 3,
  damaged: 4,
  noRepository: 10,
  conflict: 11,
  key: 12,
  storage: 13,
  space: 14,
  unsupported: 15,
  canceled: 130,
} as const;

/** Codes that the specification (section 19.1) gives another exit code than their kind has. */
const exitCodesOfReasons: Readonly<Record<string, number>> = {
  E_REPO: exitCodes.key,
  E_ROLLBACK: exitCodes.damaged,
};

/** The exit code of an error. */
export function exitCodeOf(error: BackpackError): number {
  const own = exitCodesOfReasons[error.code];
  if (own !== undefined) return own;
  switch (error.kind) {
    case 'usage':
    case 'config':
      return exitCodes.usage;
    case 'not-found':
      return error.context['repository'] === true ? exitCodes.noRepository : exitCodes.failed;
    case 'conflict':
    case 'exists':
      return exitCodes.conflict;
    case 'damaged':
      return exitCodes.damaged;
    case 'key':
      return exitCodes.key;
    case 'storage':
    case 'network':
      return exitCodes.storage;
    case 'space':
      return exitCodes.space;
    case 'unsupported':
      return exitCodes.unsupported;
    case 'canceled':
      return exitCodes.canceled;
    default:
      return exitCodes.failed;
  }
}

/** A command line to type next, as this user calls the program: in a clone, through npx. */
export function asTyped(context: Context, text: string): string {
  return context.env['npm_command'] === 'exec' ? text.replace(/^backpack /, 'npx backpack ') : text;
}
