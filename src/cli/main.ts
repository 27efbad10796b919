#!/usr/bin/env node
/** The first module of the program: says the version, which scripts ask for, without loading anything else. */
import { version } from './version.ts';

if (process.argv.length === 3 && process.argv[2] === '--version') process.stdout.write(`${version}\n`);
else await import('./run.ts');
