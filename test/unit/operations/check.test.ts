/** The check finds every kind of damage, names it, and is not misled by it. */
import { beforeAll, describe, expect, test } from 'vitest';
import { parseKeyFile } from '../../../src/format/key-file.ts';
import { packName } from '../../../src/format/names.ts';
import {
  type CheckEvent,
  type CheckOptions,
  type CheckSummary,
  check,
} from '../../../src/operations/check.ts';
import { openRepository, type Repository } from '../../../src/repo/repository.ts';
import { fromSystemError } from '../../../src/storage/storage-errors.ts';
import { makeSample, newKey, putContainer, type Sample } from './sample.ts';

type Damage = Extract<CheckEvent, { type: 'damage' | 'unreadable' }>;
type Warning = Extract<CheckEvent, { type: 'warning' }>;

interface Outcome {
  readonly summary: CheckSummary;
  readonly damage: readonly Damage[];
  readonly warnings: readonly Warning[];
}

async function run(repository: Repository, sample: Sample, options: CheckOptions = {}): Promise<Outcome> {
  const events: CheckEvent[] = [];
  const all = { readData: true, threads: 0, kitSums: sample.kitSums, ...options };
  const summary = await check(repository, all, (event) => events.push(event));
  return {
    summary,
    damage: events.filter((event): event is Damage => event.type === 'damage' || event.type === 'unreadable'),
    warnings: events.filter((event): event is Warning => event.type === 'warning'),
  };
}

describe('whole objects', () => {
  let sample: Sample;
  beforeAll(async () => {
    sample = await makeSample(2);
  });

  test('an undamaged repository has nothing to report', async () => {
    const { summary, damage, warnings } = await run(await sample.open(), sample);
    expect({ damage, warnings }).toEqual({ damage: [], warnings: [] });
    expect(summary).toMatchObject({ snapshots: 2, objects: 11, damaged: 0, unreadable: 0, warnings: 0 });
    expect(summary.records).toBe(10);
  });

  /** Runs with the objects changed for a moment. */
  async function changed(
    change: (objects: Map<string, Buffer>) => void,
    options?: CheckOptions,
  ): Promise<Outcome> {
    const { objects } = sample.storage;
    const before = [...objects];
    try {
      change(objects);
      return await run(await sample.open(), sample, options);
    } finally {
      objects.clear();
      for (const [name, bytes] of before) objects.set(name, bytes);
    }
  }

  const names = (prefix: string): string[] =>
    [...sample.storage.objects.keys()].filter((name) => name.startsWith(prefix)).sort();
  const codes = ({ damage }: Outcome): string[] => damage.map(({ code, object }) => `${code} ${object}`);

  test('a missing pack names the snapshots and files that need it', async () => {
    for (const readData of [true, false]) {
      for (const name of names('packs/')) {
        const outcome = await changed((objects) => objects.delete(name), { readData });
        expect(codes(outcome)).toEqual([`E_MISSING ${name}`]);
        expect(outcome.damage[0]!.snapshots.length).toBeGreaterThan(0);
        expect(outcome.damage[0]!.paths.length).toBeGreaterThan(0);
      }
    }
    const [first] = names('packs/');
    const { damage } = await changed((objects) => objects.delete(first!));
    expect(damage[0]).toMatchObject({ snapshots: { length: 2 }, pathsTotal: 6 });
    expect(damage[0]!.paths).toContain('home/e/deep/big.txt');
    expect(damage[0]!.paths).not.toContain('home/d/later.txt');
  });

  test('a missing snapshot is missed by the next one', async () => {
    const [old, newest] = names('snapshots/');
    expect(codes(await changed((objects) => objects.delete(old!)))).toEqual([`E_ROLLBACK ${old}`]);
    // Nobody has seen the newest one but the client that made it; its packs are left.
    const { damage, warnings } = await changed((objects) => objects.delete(newest!));
    expect(damage).toEqual([]);
    expect(warnings.map(({ code }) => code)).toEqual(['BP_UNREFERENCED']);
  });

  test('what may vanish is not missed; what helps people is', async () => {
    for (const prefix of ['index/', 'drop/', 'gc/', 'moved/']) {
      for (const name of names(prefix))
        expect(codes(await changed((objects) => objects.delete(name)))).toEqual([]);
    }
    expect(codes(await changed((objects) => objects.delete('backpack.json')))).toEqual([
      'BP_HINT_DAMAGED backpack.json',
    ]);
    for (const name of ['README.txt', ...names('recover/')]) {
      expect(codes(await changed((objects) => objects.delete(name)))).toEqual([`BP_KIT_DAMAGED ${name}`]);
    }
  });

  test('objects that are cut off or lengthened are named, in every mode', async () => {
    const size = 4096;
    for (const readData of [true, false]) {
      for (const name of [...sample.storage.objects.keys()].filter((one) => one.endsWith('.bpk'))) {
        for (const length of [0, 1, 511, 512, 513, 1058, 1059, 2000, size - 513, size - 512, size - 1]) {
          const outcome = await changed(
            (objects) => objects.set(name, objects.get(name)!.subarray(0, length)),
            { readData },
          );
          expect(codes(outcome), `${length}`).toEqual([`E_TRUNC ${name}`]);
        }
        const longer = await changed(
          (objects) => objects.set(name, Buffer.concat([objects.get(name)!, Buffer.alloc(1)])),
          { readData },
        );
        expect(codes(longer)).toEqual([`E_EXTRA ${name}`]);
      }
    }
  });

  test('objects that changed places are named, both', async () => {
    for (const prefix of ['packs/', 'snapshots/', 'index/']) {
      const [a, b] = names(prefix) as [string, string];
      const outcome = await changed((objects) => {
        const first = objects.get(a)!;
        objects.set(a, objects.get(b)!);
        objects.set(b, first);
      });
      expect(codes(outcome)).toEqual([`E_NAME ${a}`, `E_NAME ${b}`]);
    }
  });

  test('objects of another repository are named, with the same key and with another', async () => {
    for (const root of [sample.key.root, undefined]) {
      const other = await makeSample(1, root);
      for (const [name, bytes] of other.storage.objects) {
        if (!name.endsWith('.bpk')) continue;
        const added = await changed((objects) => objects.set(name, bytes));
        expect(codes(added)).toEqual([`E_REPO ${name}`]);
        const place = names(name.slice(0, name.indexOf('/') + 1))[0]!;
        if (place.startsWith('moved/')) continue;
        const replaced = await changed((objects) => objects.set(place, bytes));
        expect(codes(replaced)).toEqual([`E_NAME ${place}`]);
      }
    }
  });

  test('a raw key takes no object of another repository for its own', async () => {
    const other = await makeSample(1, sample.key.root);
    const [name, bytes] = [...other.storage.objects].find(([one]) => one.startsWith('snapshots/'))!;
    const raw = parseKeyFile(sample.key.root);
    const { objects } = sample.storage;
    const early = `snapshots/19700101T000000Z-${'0'.repeat(40)}.bpk`;
    objects.set(name, bytes);
    objects.set(early, bytes);
    try {
      const repository = await openRepository({ location: 'memory' }, sample.storage, raw);
      expect(codes(await run(repository, sample))).toEqual([`E_NAME ${early}`, `E_REPO ${name}`]);
    } finally {
      objects.delete(name);
      objects.delete(early);
    }
  });

  test('the line of a header that is damaged is named', async () => {
    const [name] = names('packs/');
    const lines = {
      5: 'first',
      30: 'second',
      100: 'suite=',
      140: 'kind=',
      150: 'repo=',
      190: 'keyid=',
      215: 'writer=',
      240: 'id=',
      300: 'kem=',
      350: 'flags=',
      400: 'pad=',
      460: 'commit=',
    };
    for (const [at, line] of Object.entries(lines)) {
      const { damage } = await changed(
        (objects) => {
          const bytes = Buffer.from(objects.get(name!)!);
          bytes[Number(at)]! ^= 1;
          objects.set(name!, bytes);
        },
        { readData: false },
      );
      expect(damage[0]?.message).toContain(`the ${line} line of the header`);
      expect(damage[0]?.snapshots).toHaveLength(2);
      expect(damage[0]?.paths).toContain('home/a.txt');
    }
  });

  test('a damaged record names the files that use it, and only them', async () => {
    const [name] = names('packs/');
    const { damage } = await changed((objects) => {
      const bytes = Buffer.from(objects.get(name!)!);
      bytes[600]! ^= 1;
      objects.set(name!, bytes);
    });
    expect(damage).toHaveLength(1);
    expect(damage[0]).toMatchObject({ code: 'E_TAG', object: name, record: 0, snapshots: { length: 2 } });
    expect(damage[0]!.paths).toEqual(['home/a.txt', 'home/d/b.bin', 'home/d/copy.txt', 'home/e/hard']);
  });

  test('several damaged objects do not hide each other', async () => {
    const all = [...sample.storage.objects.keys()];
    const outcome = await changed((objects) => {
      for (const [name, bytes] of objects) {
        const copy = Buffer.from(bytes);
        copy[name.endsWith('.bpk') ? 520 : 3]! ^= 4;
        objects.set(name, copy);
      }
    });
    expect([...new Set(outcome.damage.map(({ object }) => object))]).toEqual(
      all
        .filter((name) => name.endsWith('.bpk') || name === 'backpack.json' || name === 'recover/SHA256SUMS')
        .sort(),
    );
  });

  test('files of the kit that nobody listed, and a kit that the key file does not know', async () => {
    const extra = await changed((objects) => objects.set('recover/extra.js', Buffer.from('x')));
    expect(codes(extra)).toEqual(['BP_KIT_DAMAGED recover/extra.js']);
    const replaced = await changed(() => {}, { kitSums: ['0'.repeat(64)] });
    expect(codes(replaced)).toEqual(['BP_KIT_DAMAGED recover/SHA256SUMS']);
    const unknown = await changed(() => {}, { kitSums: [] });
    expect(codes(unknown)).toEqual([]);
    expect(unknown.warnings.map(({ code }) => code)).toEqual(['BP_KIT_UNKNOWN']);
  });

  test('unknown names are ignored', async () => {
    const outcome = await changed((objects) => {
      objects.set('lost+found/x', Buffer.from('x'));
      objects.set('packs/notes.txt', Buffer.from('x'));
    });
    expect(codes(outcome)).toEqual([]);
    expect(outcome.summary.objects).toBe(11);
  });

  test('a pack that is named by no snapshot is a warning, and damage when it is damaged', async () => {
    const repository = await sample.open();
    const { objects } = sample.storage;
    const name = await putContainer(repository, 'meta', packName, ['left over\n']);
    try {
      const { damage, warnings } = await run(await sample.open(), sample);
      expect(damage).toEqual([]);
      expect(warnings).toMatchObject([{ code: 'BP_UNREFERENCED', objects: [name] }]);
      objects.get(name)![550]! ^= 1;
      expect(codes(await run(await sample.open(), sample))).toEqual([`E_TAG ${name}`]);
    } finally {
      objects.delete(name);
    }
  });

  test('a forgotten snapshot may lack its packs', async () => {
    const [old] = names('snapshots/');
    const id = old!.slice(-44, -4);
    const drop = `{"backpack":"drop","v":1,"time":"1767225600.000000000","why":"forget"}\n["S","${id}"]\n`;
    const name = await putContainer(await sample.open(), 'drop', (own) => `drop/${own}.bpk`, [drop]);
    const meta = names('packs/')[1]!;
    const outcome = await changed((objects) => objects.delete(meta));
    sample.storage.objects.delete(name);
    expect(codes(outcome)).toEqual([]);
    expect(outcome.warnings.map(({ code }) => code)).toEqual(['BP_FORGOTTEN_INCOMPLETE']);
  });

  test('what the storage does not give is unreadable, not damaged', async () => {
    for (const broken of ['packs/', 'snapshots/', 'index/', 'recover/']) {
      const name = names(broken)[0]!;
      const repository = await sample.open();
      const get = sample.storage.get.bind(sample.storage);
      const failing = Object.create(sample.storage) as typeof sample.storage;
      failing.get = async (object, options) => {
        if (object !== name) return get(object, options);
        throw fromSystemError(
          Object.assign(new Error('EIO: i/o error, read'), { errno: -5 }),
          'memory',
          object,
        );
      };
      failing.stat = sample.storage.stat.bind(sample.storage);
      failing.list = sample.storage.list.bind(sample.storage);
      const other = { ...repository, storage: failing, read: { ...repository.read, storage: failing } };
      const { damage, summary } = await run(other, sample);
      expect(damage.map(({ type, code, object }) => `${type} ${code} ${object}`)).toEqual([
        `unreadable BP_STORAGE_IO ${name}`,
      ]);
      expect(summary).toMatchObject({ damaged: 0, unreadable: 1 });
    }
  });

  test('a fraction reads every pack once in all its parts; a percentage reads that many', async () => {
    const repository = await sample.open();
    const whole = (await run(repository, sample)).summary.records;
    const none = (await run(repository, sample, { readData: false })).summary.records;
    let read = 0;
    for (const part of [1, 2, 3]) {
      read += (await run(repository, sample, { readData: { fraction: [part, 3] } })).summary.records - none;
    }
    expect(read).toBe(whole - none);
    expect((await run(repository, sample, { readData: { percent: 100 } })).summary.records).toBe(whole);
    expect((await run(repository, sample, { readData: { percent: 0 } })).summary.records).toBe(none);
  });

  test('a wrapped key is looked at as far as that goes', async () => {
    const { keyid } = sample.key;
    const json = `{"backpack":"wrapped-key","v":1,"keyid":"${keyid}","kdf":"scrypt","N":131072,"r":8,"p":1,"salt":"${'00'.repeat(16)}","wrapped":"${'00'.repeat(40)}"}\n`;
    const name = `keys/${keyid}-01234567.json`;
    const withKey = async (text: string, as = name): Promise<string[]> =>
      codes(await changed((objects) => objects.set(as, Buffer.from(text))));
    expect(await withKey(json)).toEqual([]);
    expect(await withKey(json.replace('131072', '131073'))).toEqual([`E_LIMIT ${name}`]);
    expect(await withKey(json.replace('"v":1,', ''))).toEqual([`E_JSON ${name}`]);
    expect(await withKey(json.replace(',"v"', ', "v"'))).toEqual([`E_JSON ${name}`]);
    expect(await withKey(json.slice(0, -1))).toEqual([`E_JSON ${name}`]);
    expect(await withKey(json.replace('"r":8', '"r":8,"r":8'))).toEqual([`E_JSON ${name}`]);
    const other = `keys/${'0'.repeat(16)}-01234567.json`;
    expect(await withKey(json, other)).toEqual([`E_NAME ${other}`]);
  });

  test('a wrong key is not taken for damage', async () => {
    const storage = sample.storage;
    const hint = storage.objects.get('backpack.json')!;
    const sameRepo = { ...newKey(), repo: sample.key.repo };
    for (const [key, code] of [
      [newKey(), 'E_REPO'],
      [sameRepo, 'E_KEY'],
    ] as const) {
      storage.objects.delete('backpack.json');
      try {
        const repository = await openRepository({ location: 'memory' }, storage, key);
        await expect(run(repository, sample)).rejects.toMatchObject({ code, kind: 'key' });
      } finally {
        storage.objects.set('backpack.json', hint);
      }
    }
  });
});
