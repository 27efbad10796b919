/**
 * Host keys: what known_hosts says about a host (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"), or pinned fingerprints. An
 * unknown key is refused: there is no trust on first use.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** What is known about the keys of a host. */
export interface HostKeys {
  /** Base64 of accepted keys. */
  readonly accepted: readonly string[];
  readonly revoked: readonly string[];
  /** Types of the accepted keys, as `ssh-ed25519`: the server is asked for one of these. */
  readonly types: readonly string[];
}

/** `SHA256:...` of a key, as ssh-keygen shows it. */
export function fingerprintOf(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
}

/** Reads known_hosts files; missing ones say nothing. */
export function readKnownHosts(files: readonly string[], host: string, port: number): HostKeys {
  const accepted: string[] = [];
  const revoked: string[] = [];
  const types = new Set<string>();
  const name = port === 22 ? host.toLowerCase() : `[${host.toLowerCase()}]:${port}`;
  for (const file of files) {
    let text: string;
    try {
      text = readFileSync(file, 'latin1');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
      throw error;
    }
    for (const line of text.split('\n')) {
      const words = line.trim().split(/[ \t]+/);
      if (line.startsWith('#') || words.length < 3) continue;
      const marker = words[0]!.startsWith('@') ? words.shift() : undefined;
      const [hosts = '', type = '', key = ''] = words;
      if (!matches(hosts, name)) continue;
      if (marker === '@revoked') revoked.push(key);
      // Certificates are not supported: a line for an authority says nothing about a plain key.
      else if (marker === undefined) {
        accepted.push(key);
        types.add(type);
      }
    }
  }
  return { accepted, revoked, types: [...types] };
}

function matches(hosts: string, name: string): boolean {
  const hashed = /^\|1\|([A-Za-z0-9+/=]+)\|([A-Za-z0-9+/=]+)$/.exec(hosts);
  if (hashed !== null) {
    const mac = createHmac('sha1', Buffer.from(hashed[1]!, 'base64')).update(name).digest();
    const expected = Buffer.from(hashed[2]!, 'base64');
    return mac.length === expected.length && timingSafeEqual(mac, expected);
  }
  let found = false;
  for (const pattern of hosts.toLowerCase().split(',')) {
    const negated = pattern.startsWith('!');
    if (!wildcard(negated ? pattern.slice(1) : pattern).test(name)) continue;
    if (negated) return false;
    found = true;
  }
  return found;
}

function wildcard(pattern: string): RegExp {
  const source = pattern
    .replace(/[\\^$.+()[\]{}|]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`);
}
