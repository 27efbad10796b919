/** docs/extensions.md: the extension that stands there is installed as told, and does what is said of it. */
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { project, World } from '../cli/support.ts';

const text = readFileSync(join(project, 'docs/extensions.md'), 'utf8');
let world: World;
const part = (name: string): string => {
  const found = new RegExp(`^\`\`\`\\w+ file=${name}\\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(text);
  if (found === null) throw new Error(`no ${name} in docs/extensions.md`);
  return found[1]!.replaceAll('/media/me', join(world.base, 'media')).replaceAll('/run/me', world.dir);
};

beforeAll(() => {
  world = new World();
  const config = join(world.home, '.config/backpack');
  const folder = join(config, 'node_modules/backpack-disk');
  mkdirSync(folder, { recursive: true });
  for (const name of ['package.json', 'index.js', 'storage.js'])
    writeFileSync(join(folder, name), part(name));
  symlinkSync(project, join(config, 'node_modules/backpack-cli'));
  writeFileSync(join(config, 'config.json'), part('config.json'));
  mkdirSync(join(world.home, 'Documents/node_modules/made'), { recursive: true });
  for (const name of ['Documents/a.txt', 'Documents/node_modules/made/b.txt'])
    writeFileSync(join(world.home, name), `${name}\n`);
  mkdirSync(join(world.base, 'media/blue'), { recursive: true });
});
afterAll(() => world.remove());

test('the commands that stand there work', () => {
  const { stdout, stderr, code } = world.sh(`set -e\n${part('commands')}`);
  expect({ code, said: code === 0 ? '' : stdout + stderr }).toEqual({ code: 0, said: '' });
  const restored = join(world.dir, 'restored', world.home);
  expect(readFileSync(join(restored, 'Documents/a.txt'), 'utf8')).toBe('Documents/a.txt\n');
  expect(existsSync(join(world.base, 'media/blue/backup/packs'))).toBe(true);
});

test('the filter left out what it should', () => {
  const { stdout } = world.sh('backpack ls latest');
  expect(stdout).toContain('Documents/a.txt');
  expect(stdout).not.toContain('node_modules');
});

test('the listener heard the end of each command', () => {
  const lines = readFileSync(join(world.base, 'media/journal'), 'utf8').trimEnd().split('\n');
  const heard = lines.map((line) => (JSON.parse(line) as { command?: string }).command);
  expect(heard.slice(0, 4)).toEqual(['init', 'backup', 'check', 'restore']);
});

test('the hook ends a backup to a disk that is not there', () => {
  const { stderr, code } = world.sh('backpack backup ~/Documents -r disk://red/backup');
  expect([code, stderr]).toEqual([
    1,
    'error: the hook backup.before of disk failed: the disk red is not mounted (BP_HOOK_FAILED)\n' +
      '  next: correct it, or take it out of the config file\n',
  ]);
  expect(existsSync(join(world.base, 'media/red'))).toBe(false);
});

test('a key provider is asked when no key was named, and the key it gives opens the repository', () => {
  const keys = join(world.dir, 'keys.mjs');
  const key = `${world.home}/.config/backpack/*/key.bin`;
  world.sh(`cp ${key} given.bin && rm ${key}`);
  const provider = `import { readFileSync, appendFileSync } from 'node:fs';
export default { name: 'keys', apiVersion: 1, setup(api) {
  api.keys.add(({ repositoryId, location }) => { appendFileSync('asked', repositoryId + ' ' + location); });
  api.keys.add(() => readFileSync('given.bin'));
} };`;
  writeFileSync(keys, provider);
  const config = JSON.parse(part('config.json')) as { extensions: object[] };
  config.extensions.push({ module: keys });
  writeFileSync(join(world.home, '.config/backpack/keys.json'), JSON.stringify(config));
  expect(world.sh('backpack list').code).toBe(12);
  const { stdout, code } = world.sh('backpack list --config ~/.config/backpack/keys.json');
  expect([code, stdout.includes('Documents')]).toEqual([0, true]);
  expect(readFileSync(join(world.dir, 'asked'), 'utf8')).toMatch(/^[0-9a-f]{32} .*media\/blue\/backup$/);
  rmSync(keys);
  const gone = world.sh('backpack list --config ~/.config/backpack/keys.json');
  expect([gone.code, gone.stderr.includes('BP_EXTENSION')]).toEqual([2, true]);
});

test('the transport that stands there brings clients to a server', () => {
  for (const name of ['unix.js', 'socket.js', 'unix.json']) writeFileSync(join(world.dir, name), part(name));
  const { stdout, stderr, code } = world.sh(`set -e\n${part('unix-commands')}\nwait || test $? = 143`);
  expect({ code, said: code === 0 ? '' : stdout + stderr }).toEqual({ code: 0, said: '' });
  const restored = join(world.dir, 'through-a-socket', world.home);
  expect(readFileSync(join(restored, 'Documents/a.txt'), 'utf8')).toBe('Documents/a.txt\n');
  expect(existsSync(join(world.dir, 'served/laptop/packs'))).toBe(true);
});

test('a server asks for access keys there, and a transport that is none is refused', () => {
  const open = world.sh(
    `backpack serve --config unix.json --root open --listen unix://${world.dir}/open.sock`,
  );
  expect([open.code, open.stderr.includes('BP_SERVE_OPEN')]).toEqual([2, true]);
  const tls = world.sh('backpack serve --config unix.json --root open --listen unix:///x --tls none.pem');
  expect([tls.code, tls.stderr.includes('--tls is for addresses HOST:PORT')]).toEqual([2, true]);
  const gone = world.sh(
    `backpack list --config unix.json -r unix://${world.dir}/gone.sock/laptop --key laptop.key`,
  );
  expect([gone.code, gone.stderr.includes('BP_CONNECTION')]).toEqual([13, true]);
  const place = world.sh('backpack list --config unix.json -r unix://laptop --key laptop.key');
  expect([place.code, place.stderr.includes('BP_LOCATION')]).toEqual([2, true]);
  const socket = join(world.dir, 'socket.js');
  for (const [code, said] of [
    ['export const listen = 1;', 'does not export connect'],
    ['export const connect = async () => ({ wire: {} });', 'made no stream of bytes'],
    ['nonsense(', 'cannot be loaded'],
  ]) {
    writeFileSync(socket, code!);
    const { stderr, code: exit } = world.sh(
      'backpack list --config unix.json -r unix:///x/laptop --key laptop.key',
    );
    expect([exit, stderr.includes('BP_TRANSPORT'), stderr.includes(said!)]).toEqual([2, true, true]);
  }
  writeFileSync(socket, 'export const connect = async () => { throw new Error("the line is cut"); };');
  const cut = world.sh('backpack list --config unix.json -r unix:///x/laptop --key laptop.key');
  expect([cut.code, cut.stderr.includes('cannot connect to unix:///x: the line is cut')]).toEqual([13, true]);
  const listen = world.sh(
    `backpack serve --config unix.json --root open --insecure-no-auth --listen unix://${world.dir}/o.sock`,
  );
  expect([listen.code, listen.stderr.includes('does not export listen')]).toEqual([2, true]);
});
