// Rewrites the files of a folder all the time, most in place and page by page, so that a reader may see a mixture of
// two moments. Ends with its standard input.
//   node mutator.mjs FOLDER SEED
import {
  closeSync,
  openSync,
  readdirSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { dice, page, stateOf } from './states.mjs';

const [folder, seed] = process.argv.slice(2);
const next = dice(Number(seed));
const files = readdirSync(folder)
  .sort()
  .map((name) => ({ path: join(folder, name), pages: statSync(join(folder, name)).size / 4096, version: 0 }));
process.stdin.on('end', () => process.exit(0)).resume();
process.stdout.write('running\n');

function step() {
  for (let i = 0; i < 4; i += 1) {
    const file = files[next(files.length)];
    file.version += 1;
    const { path, pages, version } = file;
    const what = next(12);
    if (what === 0) {
      writeFileSync(`${path}.new`, stateOf(version, pages));
      renameSync(`${path}.new`, path);
    } else if (what === 1) {
      // Away for a moment, then there again, whole.
      writeFileSync(`${path}.new`, stateOf(version, pages));
      unlinkSync(path);
      renameSync(`${path}.new`, path);
    } else {
      const fd = openSync(path, 'r+');
      for (let index = 0; index < pages; index += 1)
        writeSync(fd, page(version, index), 0, 4096, index * 4096);
      closeSync(fd);
    }
  }
  setImmediate(step);
}
step();
