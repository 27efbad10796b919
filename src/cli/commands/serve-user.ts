/** `backpack serve user`: adds, lists and removes the users of a server. */
import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { BackpackError } from '../../base/errors.ts';
import { writeNewKey } from '../../config/key-store.ts';
import { formatAccessKey } from '../../net/access-key.ts';
import { isUserName } from '../../net/handshake.ts';
import { Accounts, isRepositoryName } from '../../server/accounts.ts';
import { type Role, roles } from '../../server/rights.ts';
import { shell } from '../again.ts';
import type { CommonOptions, Context } from '../context.ts';
import { parseSize } from '../parse.ts';
import { Voice } from '../render/output.ts';
import { bytes, safe } from '../render/text.ts';

/** Options of the commands. */
export interface ServeUserOptions extends CommonOptions {
  readonly root?: string;
  readonly role?: string;
  readonly repository?: readonly string[];
  readonly quota?: string;
  readonly accessKey?: string;
}

/** `serve user add NAME`. @returns the exit code */
export async function addUser(context: Context, user: string, options: ServeUserOptions): Promise<number> {
  const voice = new Voice(context, options);
  const root = rootOf(context, options);
  if (!isUserName(user)) {
    throw usage(`not a name for a user: ${user}`, 'up to 64 lower-case letters, digits, . _ and -');
  }
  const role = options.role ?? 'append';
  if (!roles.includes(role as Role)) throw usage(`not a role: ${role}`, `--role ${roles.join(', ')}`);
  const repositories = options.repository ?? [user];
  const wrong = repositories.find((name) => name !== '*' && !isRepositoryName(name));
  if (wrong !== undefined) {
    throw usage(`not the name of a repository: ${wrong}`, 'one word of letters, digits, . _ and -, or *');
  }
  const path = resolve(context.cwd, options.accessKey ?? `${user}.access-key`);
  if (existsSync(path)) {
    throw new BackpackError(
      'BP_KEY_EXISTS',
      `there is a file at ${path} already; key files are never overwritten`,
      {
        kind: 'conflict',
        hint: 'give another path with --access-key FILE',
      },
    );
  }
  const quotaBytes = options.quota === undefined ? undefined : parseSize(options.quota, '--quota');
  const accounts = new Accounts(root);
  const key = await accounts.add({ user, role: role as Role, repositories, quotaBytes });
  try {
    writeNewKey(path, formatAccessKey(user, key));
  } catch (error) {
    // A key that nobody has is of no use.
    await accounts.remove(user);
    throw error;
  }
  voice.event({ type: 'summary', command: 'serve user add', user, role, repositories, accessKey: path });
  voice.result(
    `Added user   ${user}   role ${role}, repositories ${repositories.join(' ')}\n` +
      `Access key   ${safe(path)}   bring it to the client, readable by its owner only, and delete it here\n` +
      `There        backpack backup PATH --repo tcp://HOST:PORT/${repositories[0] === '*' ? 'NAME' : repositories[0]} ` +
      `--access-key ${shell(path.slice(path.lastIndexOf('/') + 1))}\n`,
  );
  return 0;
}

/** `serve user list`. @returns the exit code */
export async function listUsers(context: Context, options: ServeUserOptions): Promise<number> {
  const voice = new Voice(context, options);
  const accounts = new Accounts(rootOf(context, options));
  const rows: string[][] = [];
  for (const name of await accounts.names()) {
    const account = await accounts.find(name);
    if (account === undefined) continue;
    const { user, role, repositories, quotaBytes } = account;
    voice.event({
      type: 'user',
      user,
      role,
      repositories,
      ...(quotaBytes === undefined ? {} : { quotaBytes }),
    });
    rows.push([user, role, quotaBytes === undefined ? '-' : bytes(quotaBytes), repositories.join(' ')]);
  }
  voice.event({ type: 'summary', command: 'serve user list', users: rows.length });
  if (rows.length === 0) voice.say('No users. backpack serve user add NAME makes one.\n');
  else {
    const table = [['USER', 'ROLE', 'QUOTA', 'REPOSITORIES'], ...rows];
    const widths = [0, 1, 2].map((column) => Math.max(...table.map((row) => row[column]!.length)));
    for (const row of table) {
      voice.result(`${row.map((cell, i) => (i < 3 ? cell.padEnd(widths[i]!) : cell)).join('  ')}\n`);
    }
  }
  return 0;
}

/** `serve user remove NAME`. @returns the exit code */
export async function removeUser(context: Context, user: string, options: ServeUserOptions): Promise<number> {
  const voice = new Voice(context, options);
  await new Accounts(rootOf(context, options)).remove(user);
  voice.event({ type: 'summary', command: 'serve user remove', user });
  voice.result(`Removed user ${user}: its access key is useless, its connections end within seconds\n`);
  return 0;
}

function rootOf(context: Context, options: ServeUserOptions): string {
  if (options.root === undefined) throw usage('no served folder was given', 'add --root DIR');
  const root = resolve(context.cwd, options.root);
  if (statSync(root, { throwIfNoEntry: false })?.isDirectory() === true) return root;
  throw usage(`${root} is not a folder`, 'give the folder that backpack serve serves, with --root DIR');
}

function usage(message: string, hint: string): BackpackError {
  return new BackpackError('BP_USAGE', message, { kind: 'usage', hint });
}
