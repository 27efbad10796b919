/** Access key files (docs/protocol.md, "Access keys"): who a client is, and the key that proves it. Text, mode 0600. */
import { createSecretKey } from 'node:crypto';
import { BackpackError } from '../base/errors.ts';
import { type AccessKey, isUserName } from './handshake.ts';

/** Longest access key file, bytes. */
export const accessFileMax = 4096;

/** Text of an access key file. */
export function formatAccessKey(user: string, key: Uint8Array): string {
  const hex = Buffer.from(key).toString('hex');
  return (
    'BACKPACK-ACCESS-KEY 1\n' +
    'This file lets a client into a Backpack server. It opens no backup. Keep it secret.\n' +
    `user=${user}\nkey=${hex}\n`
  );
}

/** @throws BackpackError BP_ACCESS_KEY */
export function parseAccessKey(text: string): AccessKey {
  const lines = text.split(/\r?\n/);
  const value = (name: string): string | undefined =>
    lines.find((line) => line.startsWith(`${name}=`))?.slice(name.length + 1);
  const [user, key] = [value('user'), value('key')];
  if (lines[0] !== 'BACKPACK-ACCESS-KEY 1' || user === undefined || !isUserName(user)) throw notValid();
  if (key === undefined || !/^[0-9a-f]{64}$/.test(key)) throw notValid();
  return { user, key: createSecretKey(Buffer.from(key, 'hex')) };
}

function notValid(): BackpackError {
  return new BackpackError('BP_ACCESS_KEY', 'this is not an access key file', {
    kind: 'key',
    hint: 'give the file that backpack serve user add wrote, with --access-key FILE',
  });
}
