// A minimal Debian root filesystem, with devices, setuid programs, capabilities and hard links, is backed up and
// restored as root and compared to the last bit. Needs root, debootstrap, rsync and python3:
//
//   node scripts/campaigns/debian-root.mjs --dir /var/tmp/debian --mirror http://MIRROR/debian
//
// A tree that an earlier run has made in DIR/root is used again. `--keep` leaves everything there.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    dir: { type: 'string' },
    mirror: { type: 'string', default: '' },
    suite: { type: 'string', default: 'bookworm' },
    keep: { type: 'boolean', default: false },
  },
});
if (values.dir === undefined || process.getuid() !== 0) {
  console.error('as root: node scripts/campaigns/debian-root.mjs --dir DIR [--mirror URL]');
  process.exit(2);
}
const project = join(import.meta.dirname, '../..');
const dir = values.dir;
const source = join(dir, 'root');
const run = (file, args) => execFileSync(file, args, { encoding: 'utf8', maxBuffer: 1 << 28 });

mkdirSync(dir, { recursive: true });
if (!existsSync(join(source, 'etc/debian_version'))) {
  const mirror = values.mirror === '' ? [] : [values.mirror];
  const made = spawnSync('debootstrap', ['--variant=minbase', values.suite, source, ...mirror], {
    stdio: 'inherit',
  });
  if (made.status !== 0) process.exit(1);
}
// What a system gets when it is used: a capability, an ACL, flags, a sparse file, one more name of a program.
run('setcap', ['cap_net_raw+ep', join(source, 'bin/cat')]);
run('setfacl', ['-m', 'u:1234:rx', join(source, 'var/log')]);
run('chattr', ['+d', join(source, 'var/cache/apt')]);
run('truncate', ['-s', '1G', join(source, 'var/swapfile')]);
run('sh', [
  '-c',
  `cd '${source}' && ln -f usr/bin/perl usr/bin/perl-again && mkdir -p dev && { [ -e dev/loop-test ] || mknod dev/loop-test b 7 9; }`,
]);

for (const name of ['repo', 'restored', 'home']) rmSync(join(dir, name), { recursive: true, force: true });
rmSync(join(dir, 'key.bin'), { force: true });
const backpack = (args) => {
  const started = performance.now();
  const done = spawnSync(
    process.execPath,
    [
      join(project, 'dist/cli/main.js'),
      ...args,
      '--json',
      '--repo',
      join(dir, 'repo'),
      '--key',
      join(dir, 'key.bin'),
    ],
    {
      cwd: dir,
      env: { HOME: join(dir, 'home'), PATH: process.env.PATH },
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    },
  );
  const lines = done.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  return { code: done.status, lines, seconds: (performance.now() - started) / 1000 };
};
const describe = (path) => JSON.parse(run('python3', [join(project, 'test/kept/tree.py'), 'describe', path]));
const kinds = (tree) => {
  const all = Object.values(tree);
  const of = (test) => all.filter(test).length;
  return {
    entries: all.length,
    devices: of(({ type }) => type === '0o20000' || type === '0o60000'),
    setuid: of(({ mode, type }) => type === '0o100000' && (Number(mode) & 0o6000) !== 0),
    hardLinked: of(({ same }) => same !== undefined),
    links: of(({ type }) => type === '0o120000'),
    withXattrs: of(({ xattrs }) => Object.keys(xattrs).length > 0),
    withFlags: of(({ flags }) => flags > 0),
  };
};

backpack(['init']);
const before = describe(source);
const backup = backpack(['backup', 'root']);
const again = backpack(['backup', 'root']);
const restore = backpack(['restore', 'latest', '--to', join(dir, 'restored')]);
const target = join(dir, 'restored/root');
const after = describe(target);
const differ = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
  (path) => JSON.stringify(before[path]) !== JSON.stringify(after[path]),
);
const rsync = run('rsync', [
  '-aHAXni',
  '--checksum',
  '--numeric-ids',
  '--delete',
  `${source}/`,
  `${target}/`,
]);
const figures = {
  ...kinds(before),
  backup: { code: backup.code, seconds: Number(backup.seconds.toFixed(1)), bytes: backup.lines.at(-1).bytes },
  unchanged: {
    code: again.code,
    seconds: Number(again.seconds.toFixed(1)),
    read: again.lines.at(-1).bytesRead,
  },
  restore: { code: restore.code, seconds: Number(restore.seconds.toFixed(1)) },
  different: differ.length,
  rsync: rsync === '' ? 0 : rsync.trim().split('\n').length,
};
console.log(JSON.stringify(figures));
if (differ.length > 0) console.log(differ.slice(0, 20).join('\n'));
if (rsync !== '') console.log(rsync.split('\n').slice(0, 20).join('\n'));
writeFileSync(join(dir, 'figures.json'), `${JSON.stringify(figures)}\n`);
if (!values.keep)
  for (const name of ['repo', 'restored', 'home']) rmSync(join(dir, name), { recursive: true, force: true });
process.exitCode = differ.length === 0 && rsync === '' && backup.code === 0 && restore.code === 0 ? 0 : 1;
