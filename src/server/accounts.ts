/**
 * Users of a server: one small file each, below `.backpack-server/users/` of the served folder, readable by the owner
 * only. They are read anew for each connection, so that adding and removing needs no restart.
 */
import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { link, open, readdir, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { BackpackError } from '../base/errors.ts';
import { makeFolders } from '../base/folders.ts';
import { isUserName } from '../net/handshake.ts';
import { type Role, roles } from './rights.ts';

/** What a server knows of a user. */
export interface Account {
  readonly user: string;
  readonly role: Role;
  /** Names of the repositories it may use; `*` stands for all. */
  readonly repositories: readonly string[];
  /** Largest size of a repository that it writes to, bytes. */
  readonly quotaBytes: number | undefined;
  readonly key: KeyObject;
}

const repositoryShape = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/;
const fileMax = 64 * 1024;

/** Whether a text can be the name of a repository on a server: one folder, never a hidden one. */
export function isRepositoryName(text: string): boolean {
  return repositoryShape.test(text);
}

/** Whether an account may use a repository. */
export function mayUse(account: Account, repository: string): boolean {
  return account.repositories.includes('*') || account.repositories.includes(repository);
}

/** The users of one served folder. */
export class Accounts {
  readonly #folder: string;

  constructor(root: string) {
    this.#folder = join(root, '.backpack-server', 'users');
  }

  /** Names of all users. */
  async names(): Promise<string[]> {
    const found = await readdir(this.#folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    const names = found.filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -5));
    return names.filter(isUserName).sort();
  }

  /** @throws BackpackError BP_ACCOUNT when its file is not as it was written */
  async find(user: string): Promise<Account | undefined> {
    if (!isUserName(user)) return undefined;
    let text: string;
    try {
      text = await readFile(this.#path(user), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    const account = text.length > fileMax ? undefined : parseAccount(text);
    if (account?.user !== user) throw damaged(user);
    return account;
  }

  /**
   * Makes a user with a new key.
   * @returns the key, which is kept here and shown once
   * @throws BackpackError BP_USER_EXISTS
   */
  async add(account: Omit<Account, 'key'>): Promise<Buffer> {
    const key = randomBytes(32);
    const { user, role, repositories, quotaBytes } = account;
    const quota = quotaBytes === undefined ? {} : { quotaBytes };
    const value = {
      backpack: 'server-user',
      v: 1,
      user,
      role,
      repositories,
      ...quota,
      key: key.toString('hex'),
    };
    makeFolders(this.#folder);
    const temporary = join(this.#folder, `.${randomBytes(8).toString('hex')}.new`);
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(`${JSON.stringify(value)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    try {
      // Never replaces: two that add the same user at once get one key.
      await link(temporary, this.#path(user));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw userExists(user);
      throw error;
    } finally {
      await unlink(temporary);
    }
    await syncFolder(this.#folder);
    return key;
  }

  /** @throws BackpackError BP_USER_UNKNOWN */
  async remove(user: string): Promise<void> {
    if (!isUserName(user)) throw userUnknown(user);
    try {
      await unlink(this.#path(user));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw userUnknown(user);
      throw error;
    }
    await syncFolder(this.#folder);
  }

  #path(user: string): string {
    return join(this.#folder, `${user}.json`);
  }
}

function parseAccount(text: string): Account | undefined {
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  const { backpack, v, user, role, repositories, quotaBytes, key } = value ?? {};
  const fits =
    backpack === 'server-user' &&
    v === 1 &&
    typeof user === 'string' &&
    roles.includes(role as Role) &&
    Array.isArray(repositories) &&
    repositories.every((name) => name === '*' || (typeof name === 'string' && isRepositoryName(name))) &&
    (quotaBytes === undefined || (Number.isSafeInteger(quotaBytes) && (quotaBytes as number) >= 0)) &&
    typeof key === 'string' &&
    /^[0-9a-f]{64}$/.test(key);
  if (!fits) return undefined;
  return {
    user,
    role: role as Role,
    repositories: repositories as string[],
    quotaBytes: quotaBytes as number | undefined,
    key: createSecretKey(Buffer.from(key, 'hex')),
  };
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function damaged(user: string): BackpackError {
  return new BackpackError('BP_ACCOUNT', `the file of user ${user} is damaged`, {
    kind: 'config',
    hint: `remove the user with backpack serve user remove ${user}, and add it again`,
  });
}

function userExists(user: string): BackpackError {
  return new BackpackError('BP_USER_EXISTS', `there is a user ${user} already`, {
    kind: 'conflict',
    hint: `backpack serve user remove ${user} makes its access key useless; then add it again`,
  });
}

function userUnknown(user: string): BackpackError {
  return new BackpackError('BP_USER_UNKNOWN', `there is no user ${user}`, {
    kind: 'not-found',
    hint: 'backpack serve user list shows all',
  });
}
