// Exchanges folders for links to another place and back, as fast as it can, until its standard input ends.
//   node swapper.mjs TARGET OUTSIDE FOLDER...        prints how often it has done so
import { renameSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';

const [target, outside, ...folders] = process.argv.slice(2);
let swaps = 0;
let going = true;
process.stdin.on('end', () => {
  going = false;
});
process.stdin.resume();
process.stdout.write('ready\n');

function swap(folder) {
  const path = join(target, folder);
  const aside = `${path}.aside`;
  try {
    renameSync(path, aside);
    try {
      symlinkSync(outside, path);
      swaps += 1;
      unlinkSync(path);
    } finally {
      // Somebody may have made a folder in the meantime: then that one is exchanged from now on.
      renameSync(aside, path);
    }
  } catch {
    // not there yet
  }
}

function turn() {
  for (let i = 0; i < 50; i += 1) for (const folder of folders) swap(folder);
  if (going) setImmediate(turn);
  else process.stdout.write(`${swaps}\n`);
}
turn();
