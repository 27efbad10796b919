// node samples.mjs DIR [name...]: writes larger repositories for trying readers by hand.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { concat, Random, text } from './lib/bytes.mjs';
import { keyFile, writerFile } from './lib/keyfile.mjs';
import { hole, Repository, zeros } from './lib/repository.mjs';
import { words } from './lib/words.mjs';

export function tree(random) {
  const block = words(random, 1200000);
  const noise = random.bytes(700000);
  const small = text('A small file.\n');
  return [
    { p: 'a', t: 'd', m: '1700000001.000000001' },
    { p: 'a/b', t: 'd' },
    { p: 'a/b/deep', t: 'd', o: '0700' },
    { p: 'a/b/deep/small.txt', t: 'f', content: small, m: '-1.500000000' },
    { p: 'a!', t: 'd' },
    { p: 'a!/one', t: 'f', content: text('twin\n'), hl: '1:77', in: '77' },
    { p: 'a-b', t: 'f', content: Buffer.alloc(0) },
    { p: 'big.bin', t: 'f', content: concat(block, noise, block, Buffer.alloc(45728, 7)), o: '0600' },
    { p: Buffer.from([0x6e, 0xff, 0xfe, 0x2e, 0x78]), t: 'f', content: text('not UTF-8\n') },
    { p: 'line\nbreak', t: 'f', content: text('a newline in the name\n') },
    { p: 'link', t: 'l', l: 'a/b/deep/small.txt' },
    { p: 'pipe', t: 'p' },
    {
      p: 'sparse',
      t: 'f',
      content: [text('head'), hole(1000000), text('middle'), zeros(5000), text('tail')],
    },
    { p: 'twin', t: 'f', content: text('twin\n'), hl: '1:77', in: '77' },
    { p: 'z-last', t: 'f', content: text('last\n') },
  ];
}

const CUT = { min: 512, mask: 1n };

const SAMPLES = {
  'golden-basic'(name) {
    const repo = new Repository({ label: name });
    const random = new Random(`${name}/content`);
    const entries = tree(random);
    repo.backup(entries, { cut: CUT });
    repo.backup([...entries, { p: 'zz-new', t: 'f', content: text('second run\n') }], { cut: CUT });
    return repo;
  },
  'golden-writer'(name) {
    const repo = new Repository({ label: name });
    const writer = repo.writer('00c0ffee00c0ffee');
    const entries = tree(new Random(`${name}/content`));
    repo.backup(entries, { author: writer, fields: { host: 'unattended' } });
    repo.backup(entries.slice(0, 6), { fields: { host: 'owner' } });
    return {
      repo,
      extra: { 'writer.bin': writerFile({ root: repo.root, repo: repo.repo, writer: writer.writer }) },
    };
  },
  'golden-moved'(name) {
    const repo = new Repository({ label: name });
    const { packs } = repo.backup(tree(new Random(`${name}/content`)), { target: 500000 });
    const data = packs.filter(
      (id) => repo.packs.get(id).kind !== 'meta' && repo.packs.get(id).lines.some((l) => l[0] === 'F'),
    );
    const count = repo.packs.get(data[0]).records.length;
    const first = repo.move(data[0], [[0, 1]]);
    repo.move(data[0], [[1, count - 1]]);
    repo.move(first.to, [[0, 1]]);
    repo.remove(data[0]);
    repo.remove(first.to);
    return repo;
  },
  'golden-dropped'(name) {
    const repo = new Repository({ label: name });
    const entries = tree(new Random(`${name}/content`));
    const first = repo.backup(entries);
    const second = repo.backup(entries.slice(0, 8));
    repo.drop([first.id]);
    repo.mark([second.meta]);
    repo.expected.delete(first.id);
    return repo;
  },
  'golden-pages'(name) {
    const repo = new Repository({ label: name });
    const entries = [{ p: 'many', t: 'd' }];
    for (let i = 0; i < 20000; i++) entries.push({ p: `many/file-${i}`, t: 'f', content: text(`${i}\n`) });
    repo.backup(entries);
    entries.splice(500, 1);
    repo.backup(entries);
    return repo;
  },
};

const [, , out, ...wanted] = process.argv;
if (out) {
  for (const [name, make] of Object.entries(SAMPLES)) {
    if (wanted.length && !wanted.includes(name)) continue;
    const made = make(name);
    const { repo, extra = {} } = made.repo instanceof Repository ? made : { repo: made };
    repo.finish();
    const top = join(out, name);
    rmSync(top, { recursive: true, force: true });
    const put = (path, bytes) => {
      mkdirSync(dirname(join(top, path)), { recursive: true });
      writeFileSync(join(top, path), bytes);
    };
    for (const [path, bytes] of repo.objects) put(`repo/${path}`, bytes);
    for (const [path, bytes] of Object.entries(extra)) put(path, bytes);
    put('key.bin', keyFile({ root: repo.root, repo: repo.repo }));
    const listing = [...repo.expected].map(([snapshot, entries]) => ({ snapshot, entries }));
    put('listing.json', text(`${JSON.stringify(listing, null, 1)}\n`));
    console.log(name, repo.objects.size, 'objects');
  }
}
