/**
 * Which filesystems hold no files of anyone: what the kernel shows there is made up at the moment it is read. They are
 * known by the name in the mount table or, where there is none, by the type that statfs tells. tmpfs is not one of them:
 * what is in /tmp and /dev/shm was put there.
 */
import { readFileSync, statfsSync } from 'node:fs';
import { type ByteString, toFsPath } from '../base/bytes.ts';
import { deviceNumbers } from './source-stat.ts';

/** Name and `f_type` (linux/magic.h). devtmpfs has no type of its own; it is known by name only. */
const madeUp: readonly (readonly [name: string, type: number])[] = [
  ['proc', 0x9fa0],
  ['sysfs', 0x62656572],
  ['devtmpfs', 0],
  ['devpts', 0x1cd1],
  ['cgroup', 0x27e0eb],
  ['cgroup2', 0x63677270],
  ['debugfs', 0x64626720],
  ['tracefs', 0x74726163],
  ['securityfs', 0x73636673],
  ['selinuxfs', 0xf97cff8c],
  ['smackfs', 0x43415d53],
  ['configfs', 0x62656570],
  ['fusectl', 0x65735543],
  ['pstore', 0x6165676c],
  ['bpf', 0xcafe4a11],
  ['efivarfs', 0xde5e81e4],
  ['hugetlbfs', 0x958458f6],
  ['mqueue', 0x19800202],
  ['binfmt_misc', 0x42494e4d],
  ['rpc_pipefs', 0x67596969],
  ['nfsd', 0x6e667364],
  ['nsfs', 0x6e736673],
  ['autofs', 0x187],
];
const types = new Map(madeUp.map(([name, type]) => [type, name]));
const names = new Set(madeUp.map(([name]) => name));
types.delete(0);

/** Looks mounted filesystems up. */
export class Filesystems {
  #table: ReadonlyMap<string, string> | undefined;
  readonly #known = new Map<number, string | undefined>();
  readonly #mountTable: string;

  /** @param mountTable another file than that of this process, for tests */
  constructor(mountTable = '/proc/self/mountinfo') {
    this.#mountTable = mountTable;
  }

  /** The name of a filesystem that the kernel makes up; undefined for all others. @param real where it is mounted */
  madeUp(device: number, real: ByteString): string | undefined {
    if (this.#known.has(device)) return this.#known.get(device);
    const found = this.#find(device, real);
    this.#known.set(device, found);
    return found;
  }

  #find(device: number, real: ByteString): string | undefined {
    this.#table ??= readMountTable(this.#mountTable);
    const name = this.#table.get(deviceNumbers(device).join(':'));
    if (name !== undefined) return names.has(name) ? name : undefined;
    try {
      return types.get(statfsSync(toFsPath(real)).type >>> 0);
    } catch {
      return undefined;
    }
  }
}

/** Names of filesystems by device, from lines such as `22 1 0:21 / /proc rw,nosuid - proc proc rw`. */
function readMountTable(path: string): Map<string, string> {
  const table = new Map<string, string>();
  let text = '';
  try {
    text = readFileSync(path, 'latin1');
  } catch {
    // Not Linux, or no /proc: statfs has to do.
  }
  for (const line of text.split('\n')) {
    const [, , device = ''] = line.split(' ', 3);
    const name = / - ([^ ]+) /.exec(line)?.[1];
    if (name !== undefined) table.set(device, name);
  }
  return table;
}
