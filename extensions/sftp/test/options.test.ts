/** Locations and options: what is understood, and what is refused before anything is opened. */
import { describe, expect, test } from 'vitest';
import { parseLocation, readOptions } from '../src/options.ts';

const around = { user: 'me', knownHosts: ['/h/.ssh/known_hosts'], home: '/h', agent: '/run/agent' };

describe('parseLocation', () => {
  test.each([
    ['sftp://host/a/b', { user: undefined, host: 'host', port: 22, folder: '/a/b' }],
    ['sftp://bob@host:2222/a//b/', { user: 'bob', host: 'host', port: 2222, folder: '/a/b' }],
    ['sftp://bob@[::1]:2222/~/backup', { user: 'bob', host: '::1', port: 2222, folder: 'backup' }],
  ])('%s', (location, place) => expect(parseLocation(location)).toEqual(place));

  test.each([
    'sftp://host',
    'sftp://host/',
    'sftp://host/a/../b',
    'sftp://@host/a',
    'sftp://host:99999/a',
    'sftp://h ost/a',
  ])('refuses %s', (location) =>
    expect(() => parseLocation(location)).toThrow(expect.objectContaining({ code: 'BP_LOCATION' })),
  );

  test('a password is refused and not repeated', () => {
    expect(() => parseLocation('sftp://bob:hunter2@host/a')).toThrow(
      /^(?!.*hunter2).*never holds a password/,
    );
  });
});

describe('readOptions', () => {
  test('defaults come from the machine', () => {
    expect(readOptions({}, around)).toEqual({
      user: 'me',
      knownHosts: ['/h/.ssh/known_hosts'],
      agent: '/run/agent',
      fsync: true,
      timeoutMs: 60_000,
    });
  });

  test('what is given wins; ~ is the home folder; no agent', () => {
    const given = {
      user: 'bob',
      identityFile: '~/key',
      agent: false,
      knownHosts: '~/hosts',
      fsync: false,
      timeout: 5,
    };
    expect(readOptions({ ...given, fingerprint: `SHA256:${'a'.repeat(43)}` }, around)).toEqual({
      user: 'bob',
      identityFile: '/h/key',
      knownHosts: ['/h/hosts'],
      fingerprints: [`SHA256:${'a'.repeat(43)}`],
      fsync: false,
      timeoutMs: 5000,
    });
  });

  test.each([
    { password: 'x' },
    { user: 5 },
    { fsync: 'no' },
    { timeout: 0 },
    { fingerprint: 'MD5:00' },
    { identityFile: '' },
  ])('refuses %j', (given) =>
    expect(() => readOptions(given, around)).toThrow(expect.objectContaining({ code: 'BP_SFTP_OPTIONS' })),
  );
});
