// Builds dist/ in order: kernels (AssemblyScript), schema validators, TypeScript; then makes the bin file executable,
// because `npx backpack` in a clone runs it through a link that needs the bit.
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname ?? dirname(new URL(import.meta.url).pathname), '..');
const run = (file, args) => execFileSync(process.execPath, [file, ...args], { cwd: root, stdio: 'inherit' });
const bin = (pkg, name) => {
  const file = join(root, 'node_modules', pkg, 'package.json');
  const json = JSON.parse(readFileSync(file, 'utf8'));
  return join(dirname(file), typeof json.bin === 'string' ? json.bin : json.bin[name]);
};

rmSync(join(root, 'dist'), { recursive: true, force: true });
mkdirSync(join(root, 'dist/kernel'), { recursive: true });
if (existsSync(join(root, 'src/kernel/assembly/index.ts')))
  run(bin('assemblyscript', 'asc'), [
    'src/kernel/assembly/index.ts',
    '-o',
    'dist/kernel/kernel.wasm',
    '-O3',
    '--enable',
    'simd',
    '--runtime',
    'stub',
    '--importMemory',
    '--noAssert',
  ]);
if (existsSync(join(root, 'scripts/build-schemas.mjs'))) run(join(root, 'scripts/build-schemas.mjs'), []);
run(bin('typescript', 'tsc'), ['-p', 'tsconfig.json']);
const main = join(root, 'dist/cli/main.js');
if (existsSync(main)) chmodSync(main, 0o755);
