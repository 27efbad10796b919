/** The commands of the server. */
import type { Command } from 'commander';
import type { Context } from './context.ts';
import type { SetExitCode } from './program.ts';

/** Adds `serve` and what is below it. */
export function addServe(program: Command, context: Context, done: SetExitCode): void {
  const serve = program
    .command('serve')
    .description('serve repositories to other machines')
    .option('--root <dir>', 'folder that holds the repositories, one folder each')
    .option('--listen <address>', 'HOST:PORT, or SCHEME://ADDRESS of an extension; default: 127.0.0.1:8417')
    .option('--config <file>', 'config file that names extensions (BACKPACK_CONFIG)')
    .option(
      '--tls <file>',
      'use TLS 1.3 with this key, certificate and authority (PEM), for tls:// locations',
    )
    .option(
      '--tls-fingerprint <sha256>',
      'accept this client certificate; may be given more than once',
      collect,
    )
    .option('--insecure-no-auth', 'let anybody who can connect read, write and delete everything')
    .option('--quota <bytes>', 'largest size of a repository, for example 500G; users may have their own')
    .option('--log <form>', 'json or text lines on standard error; default: text')
    .option('--metrics <host:port>', 'figures for Prometheus at http://HOST:PORT/metrics')
    .option('--json', 'print typed lines of JSON on stdout, nothing else')
    .option('-q, --quiet', 'no log')
    .option('-v, --verbose', 'log every connection and every object')
    .action(async (options) => {
      const { serve: run } = await import('./commands/serve.ts');
      done(await run(context, options));
    });
  // An option that stands behind a subcommand is that command's, also when `serve` has one of the same name.
  program.enablePositionalOptions();
  serve.enablePositionalOptions();

  const user = serve.command('user').description('who may use the server');
  user
    .command('add <name>')
    .description('make a user and its access key file, which is written once')
    .option('--root <dir>', 'folder that is served')
    .option('--role <role>', 'append (default), read, write-only or admin')
    .option(
      '--repository <name>',
      'repository it may use, or *; may be given more than once; default: NAME',
      collect,
    )
    .option('--quota <bytes>', 'largest size of a repository that it writes to')
    .option('--access-key <file>', 'access key file to write; default: NAME.access-key')
    .option('--json', 'print typed lines of JSON on stdout, nothing else')
    .action(async (name: string, options) => {
      const { addUser } = await import('./commands/serve-user.ts');
      done(await addUser(context, name, options));
    });
  user
    .command('list')
    .description('list the users')
    .option('--root <dir>', 'folder that is served')
    .option('--json', 'print typed lines of JSON on stdout, nothing else')
    .action(async (options) => {
      const { listUsers } = await import('./commands/serve-user.ts');
      done(await listUsers(context, options));
    });
  user
    .command('remove <name>')
    .description('make an access key useless; running connections end within seconds')
    .option('--root <dir>', 'folder that is served')
    .option('--json', 'print typed lines of JSON on stdout, nothing else')
    .action(async (name: string, options) => {
      const { removeUser } = await import('./commands/serve-user.ts');
      done(await removeUser(context, name, options));
    });

  const tls = serve.command('tls').description('certificates');
  tls
    .command('init')
    .description('make certificates for the server and its clients with the openssl program')
    .option('--dir <dir>', 'folder to write to; default: tls')
    .option('--host <name>', 'name or address of the server; may be given more than once', collect)
    .option('--days <n>', 'how long they are valid; default: 3650')
    .option('--json', 'print typed lines of JSON on stdout, nothing else')
    .action(async (options) => {
      const { initTls } = await import('./commands/serve-tls.ts');
      done(initTls(context, options));
    });
}

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}
