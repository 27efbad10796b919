/** The command table: what the commands are called and which options they have. What they do is imported when used. */
import { Command } from 'commander';
import type { CommonOptions, Context } from './context.ts';

/** Gets the exit code of the command that ran. */
export type SetExitCode = (code: number) => void;

/** Options that every command has. */
function common(command: Command): Command {
  return command
    .option('-r, --repo <location>', 'repository (BACKPACK_REPOSITORY)')
    .option('--key <file>', 'key file (BACKPACK_KEY_FILE)')
    .option('--config <file>', 'config file (BACKPACK_CONFIG)')
    .option('--json', 'print typed lines of JSON')
    .option('-q, --quiet', 'print results and errors only')
    .option('-v, --verbose', 'print more');
}

/** Builds the program. */
export function buildProgram(context: Context, version: string, done: SetExitCode): Command {
  const program = new Command('backpack')
    .description('Fast, end-to-end encrypted backups that anyone with the key can read without this program.')
    .version(version)
    .showHelpAfterError('next: backpack --help')
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
    })
    .exitOverride();

  common(program.command('init'))
    .argument('[location]', 'empty or new folder')
    .description('make a repository, its key file and its recovery kit')
    .action(async (location: string | undefined, options: CommonOptions) => {
      const { init } = await import('./commands/init.ts');
      done(await init(context, location, options));
    });

  common(program.command('backup'))
    .argument('[path...]', 'what to back up')
    .description('store one snapshot of some paths; only new and changed content is written')
    .option('--set <name>', 'a named set of the config file')
    .option('--tag <tag...>', 'tags of the snapshot')
    .option('--host <name>', 'host name to record')
    .option('--threads <n>', 'worker threads (BACKPACK_THREADS); default: all cores')
    .action(async (paths: string[], options: CommonOptions) => {
      const { backup } = await import('./commands/backup.ts');
      done(await backup(context, paths, options));
    });

  common(program.command('list'))
    .description('list the snapshots')
    .action(async (options: CommonOptions) => {
      const { list } = await import('./commands/list.ts');
      done(await list(context, options));
    });

  common(program.command('ls'))
    .argument('<snapshot[:path]>', 'latest, latest~1, or the first digits of an id')
    .description('list what is in a snapshot')
    .action(async (wanted: string, options: CommonOptions) => {
      const { ls } = await import('./commands/ls.ts');
      done(await ls(context, wanted, options));
    });

  common(program.command('restore'))
    .argument('<snapshot[:path]>', 'latest, latest~1, or the first digits of an id')
    .description('restore a snapshot, or one path in it; every byte is verified')
    .option('--to <dir>', 'target folder; what is in it is never overwritten')
    .option('--threads <n>', 'worker threads (BACKPACK_THREADS); default: all cores')
    .action(async (wanted: string, options: CommonOptions) => {
      const { restore } = await import('./commands/restore.ts');
      done(await restore(context, wanted, options));
    });

  const config = program.command('config').description('show the settings');
  common(config.command('show'))
    .description('show the settings in force')
    .option('--origin', 'show where each setting came from')
    .action(async (options: CommonOptions) => {
      const { configShow } = await import('./commands/config.ts');
      done(await configShow(context, options));
    });

  program.addHelpText(
    'after',
    `
Examples:
  backpack init /mnt/usb/backup
  backpack backup ~/Documents --repo /mnt/usb/backup
  backpack list --repo /mnt/usb/backup
  backpack restore latest --to ./restored --repo /mnt/usb/backup

Keep a copy of the key file: without it nobody can read the backup.`,
  );
  return program;
}
