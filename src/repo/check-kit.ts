/**
 * Checks what lies in the clear beside the containers: the recovery kit, README.txt, backpack.json and the wrapped
 * keys (SPEC, "Repository"). All are hints that a restore does not need; damage to them is reported with what to do.
 */
import { isBackpackError } from '../base/errors.ts';
import { keyFileMax, MiB } from '../base/limits.ts';
import { decodeText, parseLine } from '../format/json-lines.ts';
import { reject } from '../format/reject.ts';
import type { CheckProblem } from '../pipeline/check-jobs.ts';
import { problemOf } from '../pipeline/object-checker.ts';
import {
  isRepositoryFile,
  isWrappedKey,
  type SnapshotRoot,
  schemaCode,
  schemaError,
} from '../schema/index.ts';
import type { ObjectInfo, Storage } from '../storage/storage.ts';
import { type KitFile, kitFiles, kitSum, parseSums, sha256, sumsName } from './kit.ts';
import { hintIsIntact, type Repository } from './repository.ts';

/** Told of each problem. */
export type Report = (object: string, problem: CheckProblem) => void;

const hintName = 'backpack.json';
const readmeName = 'README.txt';
const fileMax: number = 16 * MiB;
const kitHint = 'do not use this kit; take recover/ from a release of Backpack and compare its hashes';
const hintHint = 'nothing is lost: the containers say the same';

/**
 * Checks the kit.
 * @param sums SHA-256 of every SHA256SUMS that a holder of the key wrote (`kit=` lines); empty when not known
 * @returns a warning when there is nothing trusted to compare the kit with
 */
export async function checkKit(
  storage: Storage,
  listed: readonly ObjectInfo[],
  sums: readonly string[],
  report: Report,
): Promise<string | undefined> {
  const damaged = (object: string, message: string): void => {
    report(object, { code: 'BP_KIT_DAMAGED', message, hint: kitHint, unreadable: false });
  };
  const list = await read(storage, sumsName, report);
  if (list === undefined) {
    if (!(await isThere(storage, sumsName))) damaged(sumsName, 'the list of sums of the kit is missing');
    return undefined;
  }
  const known = sums.includes(kitSum(list));
  const own = known ? undefined : ownKit();
  const ownSums = own?.find(({ name }) => name === sumsName)?.bytes;
  const trusted = known || (ownSums !== undefined && Buffer.compare(ownSums, list) === 0);
  if (!trusted && sums.length > 0)
    damaged(sumsName, 'the kit is not the one of the key file: it was damaged or replaced');
  const expected = parseSums(list);
  if (expected === undefined) {
    if (sums.length === 0) damaged(sumsName, 'the list of sums of the kit is not written as specified');
    return undefined;
  }
  let listBlamed = !trusted && sums.length > 0;
  for (const [name, sum] of expected) {
    const bytes = await read(storage, name, report);
    if (bytes === undefined) {
      // A list that is wrong itself may name what never was there.
      if (!listBlamed && !(await isThere(storage, name))) damaged(name, 'a file of the kit is missing');
      continue;
    }
    if (sha256(bytes) === sum) continue;
    const same = own?.some((file) => file.name === name && Buffer.compare(file.bytes, bytes) === 0) ?? false;
    if (trusted || !(same || listBlamed))
      damaged(name, 'is not what recover/SHA256SUMS says: it was damaged or replaced');
    else if (!listBlamed) {
      listBlamed = true;
      damaged(sumsName, `its line for ${name} is wrong`);
    }
  }
  if (listBlamed) return undefined;
  if (!expected.has(readmeName)) damaged(sumsName, 'README.txt is not in the list of sums');
  for (const { name } of listed) {
    if (name !== sumsName && !expected.has(name))
      damaged(name, 'lies in recover/ and is not in its list of sums');
  }
  return trusted || sums.length > 0
    ? undefined
    : 'the recovery kit could not be compared: the key file has no kit= line';
}

/** The kit of this client; undefined where the package has none. */
function ownKit(): readonly KitFile[] | undefined {
  try {
    return kitFiles();
  } catch {
    return undefined;
  }
}

/** What the containers say, to compare backpack.json with. */
export interface Seen {
  readonly keyids: ReadonlySet<string>;
  readonly newestRoot: SnapshotRoot | undefined;
}

/** Checks backpack.json: intact, and in agreement with the containers. */
export async function checkHintFile(repository: Repository, seen: Seen, report: Report): Promise<void> {
  const damaged = (message: string): void => {
    report(hintName, { code: 'BP_HINT_DAMAGED', message, hint: hintHint, unreadable: false });
  };
  const bytes = await read(repository.storage, hintName, report);
  if (bytes === undefined) {
    if (!(await isThere(repository.storage, hintName))) damaged('backpack.json is missing');
    return;
  }
  if (!hintIsIntact(bytes)) return damaged('backpack.json is damaged');
  const value = parsed(bytes);
  if (!isRepositoryFile(value)) return damaged('backpack.json is not written as specified');
  if (value.repo !== repository.repo) return damaged(`backpack.json names another repository: ${value.repo}`);
  for (const keyid of seen.keyids) {
    if (!value.keys.includes(keyid))
      damaged(`backpack.json does not name the key ${keyid} that containers use`);
  }
  const other = seen.newestRoot?.features;
  for (const list of ['incompat', 'roCompat'] as const) {
    const missing = (other?.[list] ?? []).filter((feature) => !value.features[list].includes(feature));
    if (missing.length > 0) damaged(`backpack.json does not name the features ${missing.join(', ')}`);
  }
}

/** Checks a wrapped key as far as that goes without its passphrase. */
export async function checkWrappedKey(storage: Storage, name: string, report: Report): Promise<void> {
  const bytes = await read(storage, name, report, keyFileMax);
  if (bytes === undefined) return;
  const problem = wrappedKeyProblem(name, bytes);
  if (problem !== undefined) report(name, problemOf(problem));
}

function wrappedKeyProblem(name: string, bytes: Uint8Array): unknown {
  try {
    const text = decodeText(bytes);
    if (!text.endsWith('\n') || text.indexOf('\n') !== text.length - 1)
      return reject('E_JSON', 'a wrapped key is one line');
    const value = parseLine(text.slice(0, -1));
    if (!isWrappedKey(value))
      return reject(schemaCode('wrappedKey'), `not a wrapped key: ${schemaError('wrappedKey')}`);
    if (!text.startsWith('{"backpack":"wrapped-key"') || JSON.stringify(value) !== text.slice(0, -1))
      return reject('E_JSON', 'a wrapped key is not in its canonical form');
    if (!name.startsWith(`keys/${value.keyid}-`)) return reject('E_NAME', `it holds the key ${value.keyid}`);
    return undefined;
  } catch (error) {
    return error;
  }
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return parseLine(decodeText(bytes).trimEnd());
  } catch {
    return undefined;
  }
}

/** A small object; undefined when it is not there or was reported. */
async function read(
  storage: Storage,
  name: string,
  report: Report,
  sizeMax: number = fileMax,
): Promise<Uint8Array | undefined> {
  try {
    const info = await storage.stat(name);
    if (info === undefined) return undefined;
    if (info.sizeBytes > sizeMax) {
      report(
        name,
        problemOf(reject('E_LIMIT', `has ${info.sizeBytes} bytes, more than such a file can have`)),
      );
      return undefined;
    }
    return await storage.get(name, { range: { offset: 0, length: info.sizeBytes } });
  } catch (error) {
    if (isBackpackError(error) && error.code === 'BP_OBJECT_MISSING') return undefined;
    report(name, problemOf(error));
    return undefined;
  }
}

/** Whether an object is there, or at least cannot be said to be missing. */
async function isThere(storage: Storage, name: string): Promise<boolean> {
  return storage.stat(name).then(
    (info) => info !== undefined,
    () => true,
  );
}
