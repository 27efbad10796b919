// Real S3 servers from Debian packages: installs and starts Ceph's RADOS gateway and OpenStack Swift on loopback, runs
// the conformance suite, a backup, a check and a restore on each, fetches the bucket with plain curl as docs/storage.md
// says, and restores it with recover.js alone. Stops what it started. Needs root, Debian 12 and a built dist/.
//   node scripts/test-servers.mjs [rgw] [swift] [--tree DIR] [--no-install] [--keep]
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const project = join(here, '..');
const options = process.argv.slice(2);
const treeAt = options.indexOf('--tree');
const tree = treeAt < 0 ? join(project, 'src') : options[treeAt + 1];
const names = options.filter((word) => word === 'rgw' || word === 'swift');

const servers = {
  rgw: {
    packages: ['ceph-mon', 'ceph-osd', 'radosgw', 'ceph-common'],
    program: 'radosgw',
    endpoint: 'http://127.0.0.1:7480',
    key: 'TESTKEY',
    secret: 'TESTSECRET',
  },
  swift: {
    packages: ['swift-proxy', 'swift-account', 'swift-container', 'swift-object', 'memcached'],
    program: 'swift-proxy-server',
    endpoint: 'http://127.0.0.1:8081',
    key: 'test:tester',
    secret: 'testing',
  },
};

function run(command, args, { env = {}, cwd } = {}) {
  const result = spawnSync(command, args, {
    env: { ...process.env, ...env },
    cwd,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (result.status !== 0) {
    throw new Error(`${command} ${args.join(' ')}: exit ${result.status}\n${result.stdout}${result.stderr}`);
  }
  return result.stdout;
}

function install(packages, program) {
  if (options.includes('--no-install') || spawnSync('sh', ['-c', `command -v ${program}`]).status === 0)
    return;
  run('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...packages], {
    env: { DEBIAN_FRONTEND: 'noninteractive' },
  });
}

/** Ends exactly the processes that wrote their ids into the folder. */
function stop(folder) {
  for (const file of readdirSync(join(folder, 'run')).filter((name) => name.endsWith('.pid'))) {
    const pid = Number(readFileSync(join(folder, 'run', file), 'utf8'));
    try {
      if (pid > 1) process.kill(pid, 'SIGTERM');
    } catch {}
  }
}

/** Path and hash of every file. */
function digest(root) {
  const found = [];
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    found.push(`${path.slice(root.length)} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`);
  }
  return createHash('sha256').update(found.sort().join('\n')).digest('hex');
}

/** The recipe of docs/storage.md, as it stands there. */
function recipe() {
  const text = readFileSync(join(project, 'docs/storage.md'), 'utf8');
  return /```sh s3-fetch\n([\s\S]*?)```/.exec(text)[1];
}

function test(name) {
  const { packages, program, endpoint, key, secret } = servers[name];
  install(packages, program);
  const folder = mkdtempSync(join(tmpdir(), `backpack-${name}-`));
  const work = join(folder, 'work');
  mkdirSync(work);
  const started = performance.now();
  const seconds = () => ((performance.now() - started) / 1000).toFixed(1);
  const say = (text) => console.log(`${name}  ${seconds()} s  ${text}`);
  try {
    run('sh', [join(here, 'servers', `${name}.sh`)], { env: { D: folder } });
    say('server is up');
    const env = {
      AWS_ACCESS_KEY_ID: key,
      AWS_SECRET_ACCESS_KEY: secret,
      AWS_ENDPOINT_URL: endpoint,
      AWS_REGION: 'us-east-1',
      HOME: work,
      XDG_CONFIG_HOME: join(work, 'config'),
      XDG_DATA_HOME: join(work, 'data'),
    };
    const conf = join(work, 's3.conf');
    const auth = `aws-sigv4 = "aws:amz:us-east-1:s3"\nuser = "${key}:${secret}"\nheader = "x-amz-content-sha256: UNSIGNED-PAYLOAD"\n`;
    writeFileSync(conf, auth, { mode: 0o600 });
    run('curl', ['-sS', '--fail', '-K', conf, '-X', 'PUT', `${endpoint}/bucket1`], { cwd: work });
    const backpack = (...args) =>
      run(process.execPath, [join(project, 'dist/cli/main.js'), ...args], { env, cwd: work });
    say(backpack('storage', 'test', 's3://bucket1/conformance').trim().replace('\n', '; '));
    const repo = 's3://bucket1/laptop';
    backpack('init', repo, '--key', 'key.bin');
    backpack('backup', tree, '-r', repo, '--key', 'key.bin');
    say('backup done');
    const second = backpack('backup', tree, '-r', repo, '--key', 'key.bin', '--json')
      .trim()
      .split('\n')
      .at(-1);
    if (JSON.parse(second).newFiles !== 0 && JSON.parse(second).filesNew !== 0) throw new Error(second);
    backpack('check', '--read-data', '-r', repo, '--key', 'key.bin');
    backpack('restore', `latest`, '--to', 'restored', '-r', repo, '--key', 'key.bin');
    const want = digest(tree);
    const same = (where) => digest(join(work, where, tree)) === want;
    if (!same('restored')) throw new Error('the restore differs');
    say('check and restore: equal');
    run('sh', ['-eu', '-c', recipe()], { cwd: work, env: { S3: `${endpoint}/bucket1`, PREFIX: 'laptop/' } });
    run(
      process.execPath,
      [
        join(project, 'recover/recover.js'),
        '--key',
        'key.bin',
        '--repo',
        'fetched',
        'restore',
        '--to',
        'recovered',
      ],
      {
        cwd: work,
      },
    );
    if (!same('recovered')) throw new Error('what recover.js restored differs');
    say('fetched with curl, restored with recover.js: equal');
    return true;
  } catch (error) {
    console.error(`${name}: ${error.message}`);
    return false;
  } finally {
    stop(folder);
    if (!options.includes('--keep')) {
      execFileSync('sleep', ['2']);
      rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 500 });
    }
  }
}

const results = (names.length > 0 ? names : Object.keys(servers)).map((name) => [name, test(name)]);
const failed = results.filter(([, good]) => !good).length;
console.log(`${results.length - failed} servers passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
