// Puts this clone's Backpack where the extension in the current folder finds `backpack-cli`: the peer that npm would
// have put beside it.
import { existsSync, mkdirSync, symlinkSync } from 'node:fs';

mkdirSync('node_modules', { recursive: true });
if (!existsSync('node_modules/backpack-cli')) symlinkSync('../../..', 'node_modules/backpack-cli', 'dir');
