// Rewrites the files of a folder in place, all the time, so that a reader may see a mixture of two states. Each state
// proves itself: 8 bytes of seed, and a content that follows from the seed. Ends with its standard input.
//   node mutator.mjs FOLDER SEED
import {
  closeSync,
  ftruncateSync,
  openSync,
  readdirSync,
  renameSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { dice, stateOf } from './states.mjs';

const [folder, seed] = process.argv.slice(2);
const next = dice(Number(seed));
const names = readdirSync(folder).sort();
process.stdin.on('end', () => process.exit(0)).resume();
process.stdout.write('running\n');

function step() {
  for (let i = 0; i < 20; i += 1) {
    const name = names[next(names.length)];
    const path = join(folder, name);
    const content = stateOf(
      next(2 ** 32),
      name.startsWith('large') ? 9_000_000 + next(500_000) : next(300_000) + 8,
    );
    const what = next(10);
    if (what === 0) {
      writeFileSync(`${path}.new`, content);
      renameSync(`${path}.new`, path);
    } else if (what === 1) {
      unlinkSync(path);
      writeFileSync(path, content);
    } else {
      // In place and piece by piece: this is what tears.
      const fd = openSync(path, 'r+');
      for (let at = 0; at < content.length; at += 16_384)
        writeSync(fd, content, at, Math.min(16_384, content.length - at), at);
      ftruncateSync(fd, content.length);
      closeSync(fd);
    }
  }
  setTimeout(step, next(5));
}
step();
