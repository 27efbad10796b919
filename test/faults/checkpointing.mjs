// A backup that makes a checkpoint as often as it can, and kills itself some milliseconds after one of them:
//   node checkpointing.mjs REPOSITORY KEY FOLDER HOST CHECKPOINT MILLISECONDS
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseKeyFile } from '../../dist/format/key-file.js';
import { backup } from '../../dist/operations/backup.js';
import { openRepository } from '../../dist/repo/repository.js';
import { rootOf } from '../../dist/source/walk.js';
import { FsStorage } from '../../dist/storage/fs.js';

const [location, key, folder, host, number, afterMs] = process.argv.slice(2);
const storage = new FsStorage(location);
const repository = await openRepository({ location }, storage, parseKeyFile(readFileSync(key)));
let seen = 0;
await backup(
  repository,
  {
    roots: [rootOf(folder.slice(dirname(folder).length + 1), dirname(folder))],
    own: [],
    host,
    app: 'test',
    threads: 2,
    checkpointMs: 0,
  },
  (event) => {
    if (event.type !== 'checkpoint') return;
    seen += 1;
    if (seen === Number(number)) setTimeout(() => process.kill(process.pid, 'SIGKILL'), Number(afterMs));
  },
);
