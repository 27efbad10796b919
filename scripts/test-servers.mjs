// Real servers from Debian packages: installs and starts Ceph's RADOS gateway and OpenStack Swift on loopback, runs the
// conformance suite, a backup, a check and a restore on each, fetches the bucket with plain curl as docs/storage.md
// says, and restores it with recover.js alone; and runs the tests of extensions/sftp, which start OpenSSH themselves.
// Stops what it started. Needs root, Debian 12 and a built dist/.
//   node scripts/test-servers.mjs [rgw] [swift] [sftp] [--tree DIR] [--no-install] [--keep]
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

// Else the SDK prints a warning about the version of Node.js.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
const { CreateBucketCommand, S3Client } = await import('@aws-sdk/client-s3');

const here = dirname(fileURLToPath(import.meta.url));
const project = join(here, '..');
const options = process.argv.slice(2);
const treeAt = options.indexOf('--tree');
const tree = treeAt < 0 ? join(project, 'src') : options[treeAt + 1];
const names = options.filter((word) => ['rgw', 'swift', 'sftp'].includes(word));

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
  run('apt-get', ['update', '-q']);
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

/** With the SDK: no other client takes every access key. */
async function makeBucket({ endpoint, key, secret }, bucket) {
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: key, secretAccessKey: secret },
    requestChecksumCalculation: 'WHEN_REQUIRED',
  });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
}

/** The tests of the extension, against the OpenSSH server that they start. */
function testSftp() {
  install(['openssh-server'], '/usr/sbin/sshd');
  const folder = join(project, 'extensions/sftp');
  try {
    if (!existsSync(join(folder, 'node_modules/ssh2')))
      run('npm', ['ci', '--ignore-scripts'], { cwd: folder });
    const file = join(mkdtempSync(join(tmpdir(), 'backpack-sftp-')), 'report.json');
    run('npm', ['test', '--', '--reporter=json', `--outputFile=${file}`], { cwd: folder });
    const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(readFileSync(file, 'utf8'));
    rmSync(dirname(file), { recursive: true });
    console.log(`sftp  ${numPassedTests} tests passed, ${numFailedTests} failed, ${numPendingTests} skipped`);
    return numPassedTests > 0 && numFailedTests === 0 && numPendingTests === 0;
  } catch (error) {
    console.error(`sftp: ${error.message}`);
    return false;
  }
}

async function test(name) {
  if (name === 'sftp') return testSftp();
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
    // As docs/storage.md says: an access key with a colon in it goes into a netrc file.
    const colon = key.includes(':');
    const user = colon ? 'netrc-file = "netrc"' : `user = "${key}:${secret}"`;
    const auth = `aws-sigv4 = "aws:amz:us-east-1:s3"\n${user}\nheader = "x-amz-content-sha256: UNSIGNED-PAYLOAD"\n`;
    writeFileSync(join(work, 's3.conf'), auth, { mode: 0o600 });
    const machine = `machine ${new URL(endpoint).hostname} login ${key} password ${secret}\n`;
    if (colon) writeFileSync(join(work, 'netrc'), machine, { mode: 0o600 });
    await makeBucket(servers[name], 'bucket1');
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

const wanted = names.length > 0 ? names : [...Object.keys(servers), 'sftp'];
let failed = 0;
for (const name of wanted) if (!(await test(name))) failed += 1;
console.log(`${wanted.length - failed} servers passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
