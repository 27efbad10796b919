/**
 * The extension: adds locations `sftp://[user@]host[:port]/folder`. What threads need to open one is gathered here,
 * because they have no environment of their own.
 */
import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import { defineExtension, type Extension } from 'backpack-cli/extension';
import { readOptions } from './options.ts';

const extension: Extension = defineExtension({
  name: 'sftp',
  apiVersion: 1,
  setup(api) {
    const home = homedir();
    const options = readOptions(api.options, {
      user: userInfo().username,
      knownHosts: [join(home, '.ssh/known_hosts'), '/etc/ssh/ssh_known_hosts'],
      home,
      agent: process.env['SSH_AUTH_SOCK'],
    });
    api.storage.register('sftp', new URL('./storage.js', import.meta.url), { ...options });
  },
});

export default extension;
