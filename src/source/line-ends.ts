/**
 * A quick look before rules of .backpackignore are asked: a rule matches a path in a folder that it does not leave out
 * only when the rule's last part matches the name. It may say yes where the rules say no, never the other way round.
 */
import { Few } from './few.ts';

/** A name that begins and ends like this may match. */
interface Ends {
  readonly prefix: string;
  readonly suffix: string;
}

/** See the file's comment. */
export class LineEnds {
  readonly #names: ReadonlySet<string>;
  readonly #others: readonly Ends[];
  readonly #lengths = new Few();

  private constructor(names: ReadonlySet<string>, others: readonly Ends[]) {
    this.#names = names;
    this.#others = others;
    for (const { length } of names) this.#lengths.add(length);
  }

  /** Those of lines and of the folder above. */
  static of(lines: readonly string[], above: LineEnds | undefined): LineEnds {
    // What brings back changes nothing as long as nothing leaves out.
    const own = lines.filter((line) => !line.startsWith('!'));
    if (own.length === 0 && above !== undefined) return above;
    const names = new Set(above === undefined ? [] : above.#names);
    const others = above === undefined ? [] : [...above.#others];
    for (const line of own) {
      const found = endsOf(line);
      if (typeof found === 'string') names.add(found);
      else others.push(found);
    }
    return new LineEnds(names, others);
  }

  /** Whether some rule may match a name. */
  mayMatch(name: string): boolean {
    if (this.#lengths.mayHave(name.length) && this.#names.has(name)) return true;
    for (const { prefix, suffix } of this.#others)
      if (name.endsWith(suffix) && name.startsWith(prefix)) return true;
    return false;
  }
}

const anything: Ends = { prefix: '', suffix: '' };

/** What the name must be, or how it must begin and end. */
function endsOf(line: string): string | Ends {
  // Spaces at the end, brackets with a slash in them: rare, and not worth to be understood twice.
  if (/\s$|\[[^\]]*\//.test(line)) return anything;
  const path = line.replace(/\/$/, '');
  const last = path.slice(path.lastIndexOf('/') + 1);
  const special = last.search(/[*?[\]\\]/);
  if (last === '' || last.includes('**')) return anything;
  if (special < 0) return last;
  const end = Math.max(...[...'*?[]\\'].map((c) => last.lastIndexOf(c)));
  return { prefix: last.slice(0, special), suffix: last.slice(end + 1) };
}
