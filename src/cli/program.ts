/** The command table: what the commands are called and which options they have. What they do is imported when used. */
import { Command, Option } from 'commander';
import type { RuleArgument, RuleOption } from './choosing.ts';
import type { CommonOptions, Context } from './context.ts';
import { addServe } from './serve-program.ts';

/** Gets the exit code of the command that ran. */
export type SetExitCode = (code: number) => void;

/** Options that every command has. */
function common(command: Command): Command {
  return command
    .option('-r, --repo <location>', 'folder of the repository (BACKPACK_REPOSITORY)')
    .option('--key <file>', 'key file (BACKPACK_KEY_FILE); default: the one in your config folder')
    .option('--config <file>', 'config file (BACKPACK_CONFIG)')
    .option('--json', 'print typed lines of JSON on stdout, nothing else')
    .option('-q, --quiet', 'print results, problems and errors only')
    .option('-v, --verbose', 'name every problem, however many there are')
    .addOption(elsewhere('--key-command <command>'))
    .addOption(elsewhere('--key-fd <n>'))
    .addOption(elsewhere('--s3-endpoint <url>'))
    .addOption(elsewhere('--access-key <file>'))
    .addOption(elsewhere('--tls <file>'))
    .addOption(elsewhere('--tls-fingerprint <sha256>'))
    .addOption(elsewhere('--connections <n>'))
    .addOption(elsewhere('--timeout <seconds>'))
    .addOption(elsewhere('--limit-upload <rate>'))
    .addOption(elsewhere('--limit-download <rate>'))
    .addHelpText(
      'after',
      '\nKeys from elsewhere (--key-command, --key-fd) and storages elsewhere\n' +
        '(--access-key, --s3-endpoint, --limit-upload, ...): see backpack --help',
    );
}

/** An option for keys or storages elsewhere: the help of the program explains them once. */
function elsewhere(flags: string): Option {
  return new Option(flags).hideHelp();
}

const keyHelp = `
Instead of --key, every command takes:
  --key-command <cmd>    shell command that prints the key file (BACKPACK_KEY_COMMAND)
  --key-fd <n>           descriptor to read the key file from
`;

const elsewhereHelp = `
Every command that takes --repo also takes, for storages elsewhere:
  --s3-endpoint <url>    S3 server that is not AWS (AWS_ENDPOINT_URL)
  --access-key <file>    access key for a server (BACKPACK_ACCESS_KEY_FILE)
  --tls <file>           own certificate for tls:// (BACKPACK_TLS_FILE)
  --tls-fingerprint <h>  certificate of the server (BACKPACK_TLS_FINGERPRINT)
  --connections <n>      connections of each thread (BACKPACK_CONNECTIONS)
  --timeout <seconds>    how long to wait for a silent server (BACKPACK_TIMEOUT)
  --limit-upload <rate>  bytes per second sent, 10 MiB (BACKPACK_LIMIT_UPLOAD)
  --limit-download <rate>
                         bytes per second received (BACKPACK_LIMIT_DOWNLOAD)
`;

/** Builds the program. */
export function buildProgram(context: Context, version: string, done: SetExitCode): Command {
  const program = new Command('backpack')
    .description('Fast, end-to-end encrypted backups that anyone with the key can read without this program.')
    .version(version)
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
      // What the parser refuses is written like every other error.
      outputError: () => {},
    })
    .exitOverride();

  common(program.command('init'))
    .argument(
      '[location]',
      'empty or new folder; default: --repo, then BACKPACK_REPOSITORY, then your data folder',
    )
    .description('make a repository, its key file and its recovery kit')
    .action(async (location: string | undefined, options: CommonOptions) => {
      const { init } = await import('./commands/init.ts');
      done(await init(context, location, options));
    });

  const rules: RuleArgument[] = [];
  choosing(common(program.command('backup')), rules)
    .argument('[path...]', 'what to back up; default: the paths of --set')
    .description('store one snapshot of some paths; only new and changed content is written')
    .option('--set <name>', 'a named set of the config file, or a name for these paths')
    .option('--tag <tag>', 'tag of the snapshot; may be given more than once', collect)
    .option('--host <name>', 'host name to record; default: the name of this machine')
    .option('--time <time>', 'time to record: 2026-11-25, "2026-11-25 10:30:00"; default: now')
    .option('-n, --dry-run', 'list what is new and changed, write nothing')
    .option('--skip-if-unchanged', 'make no snapshot when it would hold the same as the last one')
    .option('--read-all', 'read unchanged files too, and tell whose content changed without a trace')
    .option('--with-atime', 'store access times, too')
    .option('--threads <n>', 'worker threads (BACKPACK_THREADS); default: all cores')
    .option('--compression <level>', 'none, fast or high (BACKPACK_COMPRESSION); default: fast')
    .option('--memory <bytes>', 'use no more memory than this, such as 512M (BACKPACK_MEMORY)')
    .option('--limit-read <rate>', 'read no more bytes a second, such as 10M (BACKPACK_LIMIT_READ)')
    .option('--limit-write <rate>', 'write no more bytes a second (BACKPACK_LIMIT_WRITE)')
    .action(async (paths: string[], options: CommonOptions) => {
      const { backup } = await import('./commands/backup.ts');
      done(await backup(context, paths, { ...options, rules }));
    });

  common(program.command('list'))
    .description('list the snapshots, oldest first')
    .action(async (options: CommonOptions) => {
      const { list } = await import('./commands/list.ts');
      done(await list(context, options));
    });

  common(program.command('ls'))
    .argument(
      '<snapshot[:path]>',
      'latest, latest~1 (the one before), @2026-11-01 (what was latest then), or the first digits of an id',
    )
    .description('list what is in a snapshot')
    .option('-l, --long', 'also show owner and group')
    .action(async (wanted: string, options: CommonOptions) => {
      const { ls } = await import('./commands/ls.ts');
      done(await ls(context, wanted, options));
    });

  const wanted: RuleArgument[] = [];
  const restored = common(program.command('restore'))
    .argument(
      '<snapshot[:path]>',
      'latest, latest~1 (the one before), @2026-11-01 (what was latest then), or the first digits of an id',
    )
    .description('restore a snapshot, or one path in it; every byte is verified')
    .option('--to <dir>', 'target folder; made when missing')
    .option('--into-original', 'restore to where absolute paths came from');
  patterns(restored, wanted, {
    exclude: 'leave out what matches; --delete spares it',
    include: 'restore nothing else, or bring back what a pattern before it excluded',
  })
    .option(
      '--overwrite <when>',
      'never (default), if-changed or always; a file is replaced at once or not at all',
    )
    .option('--delete', 'first remove what is in the restored folders and not in the snapshot')
    .option('--yes', 'with --delete: do not ask')
    .option('--verify', 'read everything back from the disk and compare')
    .option('-n, --dry-run', 'list what would be done and write nothing')
    .option('--sparse', 'make holes where there are zeros')
    .option('--no-space-check', 'begin although there seems to be too little room')
    .option('--numeric-owner', 'owners by number, whatever they are called here')
    .option('--no-owner', 'everything belongs to who runs it')
    .option('--no-special', 'leave out setuid, setgid, devices and capabilities')
    .option('--threads <n>', 'worker threads (BACKPACK_THREADS); default: all cores')
    .action(async (snapshot: string, options: CommonOptions) => {
      const { restore } = await import('./commands/restore.ts');
      done(await restore(context, snapshot, { ...options, rules: wanted }));
    });

  common(program.command('check'))
    .description('check that everything is there and is what was written')
    .option('--read-data [part]', 'read and verify all content, or a part: 5% or 1/30')
    .option('--threads <n>', 'worker threads (BACKPACK_THREADS); default: all cores')
    .action(async (options: CommonOptions) => {
      const { check } = await import('./commands/check.ts');
      done(await check(context, options));
    });

  const storage = program.command('storage').description('look at a storage');
  common(storage.command('test'))
    .argument('<location>', 'an empty folder, prefix or namespace: what is there is never touched')
    .description('test whether a location keeps the promises that a repository needs')
    .action(async (location: string, options: CommonOptions) => {
      const { storageTest } = await import('./commands/storage-test.ts');
      done(await storageTest(context, location, options));
    });
  addServe(program, context, done);

  const config = program.command('config').description('show the settings');
  common(config.command('show'))
    .description('show every setting in force')
    .option('--origin', 'show where each setting came from')
    .action(async (options: CommonOptions) => {
      const { configShow } = await import('./commands/config.ts');
      done(await configShow(context, options));
    });

  program.addHelpText(
    'after',
    `${keyHelp}${elsewhereHelp}
Examples:
  backpack init /mnt/usb/backup
  backpack backup ~/Documents --repo /mnt/usb/backup
  backpack list --repo /mnt/usb/backup
  backpack restore latest --to ./restored --repo /mnt/usb/backup

Exit codes: 0 done, 1 failed, 2 usage or config, 3 done but incomplete, 4 damage,
10 no repository, 11 conflict, 12 key, 13 storage, 14 no space, 15 unsupported,
130 and 143 stopped by a signal.

Keep a copy of the key file: without it nobody can read the backup.`,
  );
  return program;
}

/** Options with patterns. @param rules gets them in the order in which they are given */
export function patterns(
  command: Command,
  rules: RuleArgument[],
  means: { readonly exclude: string; readonly include: string },
): Command {
  const rule = (option: RuleOption) => (value: string) => rules.push({ option, value });
  const nocase = 'the same, upper and lower case alike';
  return command
    .option('--exclude <pattern>', means.exclude, rule('exclude'))
    .option('--iexclude <pattern>', nocase, rule('iexclude'))
    .option('--exclude-file <file>', 'patterns, one on each line', rule('exclude-file'))
    .option('--iexclude-file <file>', nocase, rule('iexclude-file'))
    .option('--include <pattern>', means.include, rule('include'))
    .option('--iinclude <pattern>', nocase, rule('iinclude'));
}

/** Options that choose files. @param rules gets those with patterns, in the order in which they are given */
export function choosing(command: Command, rules: RuleArgument[]): Command {
  return patterns(command, rules, {
    exclude: 'leave out what matches: *.o, cache/, /home/*/tmp, ./build',
    include: 'bring back what a pattern before it excluded',
  })
    .option('--exclude-caches', 'leave out what is in folders with a CACHEDIR.TAG')
    .option(
      '--exclude-if-present <name>',
      'leave out what is in folders with such a file; NAME:TEXT: if it begins so',
      collect,
    )
    .option('--exclude-larger-than <size>', 'leave out larger files: 500M, 1.5 GiB')
    .option('--exclude-nodump', 'leave out files and folders with the flag d of chattr')
    .option('--no-ignore-files', 'do not look at .backpackignore files')
    .option('-x, --one-file-system', 'store other filesystems as empty folders')
    .option('--files-from <file>', 'paths to back up, one on each line; - is standard input', collect)
    .option('--files-from-nul <file>', 'paths to back up, each ended by a NUL byte', collect)
    .option('--stdin', 'store standard input as one file')
    .option('--command', 'run PATH... as program and arguments (after --), store what it writes as one file')
    .option('--stdin-name <name>', 'name of that file; default: stdin, or the name of the program');
}

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}
