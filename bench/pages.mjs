// node bench/pages.mjs COUNT: the lists of a backup of COUNT made-up files, built, compressed and sealed as in a real
// run, but with no files behind them and a storage that keeps nothing. Prints one line of JSON; needs a built dist/.
import { randomBytes } from 'node:crypto';
import { systemClock, systemRandom } from '../dist/base/ports.js';
import { WriterMemory } from '../dist/container/container-writer.js';
import { Keyring } from '../dist/container/keyring.js';
import { parseKeyFile } from '../dist/format/key-file.js';
import { PageBuilder } from '../dist/format/page-builder.js';
import { MetaWriter } from '../dist/repo/meta-writer.js';

const count = Number(process.argv[2] ?? 1e6);
let stored = 0;
const storage = {
  create: async (name) => ({
    append: async (pieces) => {
      for (const piece of pieces) stored += piece.byteLength;
    },
    commit: async () => ({ name, sizeBytes: 0, timeMs: 0 }),
    abort: async () => {},
  }),
};
const keyring = Keyring.of(parseKeyFile(randomBytes(32)));
const repository = { storage, keyring, repo: '00'.repeat(16) };
const memory = new WriterMemory(4 << 20);
const options = {
  repository,
  memory,
  clock: systemClock,
  random: systemRandom,
  app: 'bench',
  packSize: 64 << 20,
};
const meta = new MetaWriter(options);
const { kernel } = memory.codec;
const at = kernel.reserve(65_600);
const builder = new PageBuilder((path) => {
  const length = kernel.bytes.write(path, at, 65_536, 'latin1');
  return Number.parseInt(kernel.hashOf(at, length).slice(8), 16);
});
const refs = [];
const needed = new Set();
const keep = async (page) => {
  for (const pack of page.packs) needed.add(pack);
  await meta.roll();
  const { text, entries, first, last } = page;
  refs.push(await meta.add(text, { entries, first, last }));
};
let pack = '';
const begin = process.hrtime.bigint();
for (let i = 0; i < count; i += 1) {
  // A pack of 64 MiB holds about 16,000 files of 4 KiB.
  if (i % 16_000 === 0) pack = randomBytes(20).toString('hex');
  const folder = String(Math.floor(i / 1000)).padStart(5, '0');
  const path = `home/${folder}/file-${String(i % 1000).padStart(3, '0')}.dat`;
  const time = `${1_700_000_000 + ((i * 7919) % 10_000_000)}.${String((i * 104_729) % 1e9).padStart(9, '0')}`;
  const prefix = `{"p":"${path}","t":"f","s":4096,"m":"${time}","c":"${time}","o":"0644","u":1000,"g":1000,"in":"${1e6 + i}"`;
  const x = (BigInt(i + 1) * 0x9e3779b97f4a7c15n).toString(16).padStart(16, '0').slice(-16);
  const record = Math.floor((i % 16_000) / 256);
  const extents = [{ pack, record, count: 1, length: 4096, offset: (i % 256) * 4096 }];
  for (const page of builder.add({ path, prefix, x, extents })) await keep(page);
}
for (const page of builder.flush()) await keep(page);
await meta.commit();
const seconds = Number(process.hrtime.bigint() - begin) / 1e9;
const rss = process.resourceUsage().maxRSS * 1024;
process.stdout.write(
  `${JSON.stringify({ count, pages: refs.length, packs: needed.size, stored, seconds, rss })}\n`,
);
