/**
 * The ordered rules of --exclude and --include: the last rule that matches a path, or a folder above it, decides.
 * A folder's state holds how far each anchored pattern has come on the way to it, so that a name is compared with the
 * few patterns that can match there, and folders in which nothing can be included are not walked.
 */
import { Few } from './few.ts';
import { compilePattern, type Part, type PatternRule } from './pattern.ts';

/** One alternative of a rule. */
interface Program {
  readonly rule: number;
  readonly include: boolean;
  readonly parts: readonly Part[];
  readonly foldersOnly: boolean;
  readonly nocase: boolean;
}

/** A program that has matched a path up to (not including) part `at`. */
interface Step {
  readonly program: Program;
  readonly at: number;
}

/** What a folder hands on to what is in it. */
export interface RuleState {
  readonly steps: readonly Step[];
  /** Number of the rule that decided about the folder; -1: none. */
  readonly decided: number;
}

const nothing: readonly Program[] = [];

/** See the file's comment. */
export class Rules {
  readonly #rules: readonly PatternRule[];
  readonly #anchored: readonly Step[];
  readonly #floating: Floating;
  /** The last rule that floats and includes; nothing below it in the list lets a folder be passed over. */
  readonly #lastFloatingInclude: number;
  readonly #folds: boolean;

  constructor(rules: readonly PatternRule[]) {
    this.#rules = rules;
    const programs = rules.flatMap((rule, index) =>
      compilePattern(rule).map(
        ({ parts, foldersOnly }): Program => ({
          rule: index,
          include: rule.include,
          parts,
          foldersOnly,
          nocase: rule.nocase,
        }),
      ),
    );
    const floats = programs.filter(({ parts }) => parts[0]!.kind === 'deep' && parts.length > 1);
    this.#anchored = closure(
      programs.filter((one) => !floats.includes(one)).map((program) => ({ program, at: 0 })),
    );
    this.#floating = new Floating(floats);
    this.#lastFloatingInclude = floats.reduce(
      (last, { rule, include }) => (include ? Math.max(last, rule) : last),
      -1,
    );
    this.#folds = rules.some(({ nocase }) => nocase);
  }

  /** For people: the rule with this number. */
  label(rule: number): string {
    return this.#rules[rule]!.label;
  }

  /** State of a folder that the user named: nothing above it has decided. @param names its path, from the top */
  named(names: readonly string[]): RuleState {
    let steps = this.#anchored;
    for (const name of names) steps = this.#advance(steps, name);
    return { steps, decided: -1 };
  }

  /** Number of the rule that decides about a name in a folder; -1: none. */
  decide(state: RuleState, name: string, folder: boolean): number {
    let rule = state.decided;
    const folded = this.#folds ? name.toLowerCase() : name;
    for (const program of this.#floating.matching(name, folded)) {
      if (program.parts.length === 2 && program.rule > rule && (folder || !program.foldersOnly))
        rule = program.rule;
    }
    for (const { program, at } of state.steps) {
      if (program.rule <= rule || at !== program.parts.length - 1 || (program.foldersOnly && !folder))
        continue;
      if (matches(program.parts[at]!, name, folded, program.nocase)) rule = program.rule;
    }
    return rule;
  }

  /** Whether a path is left out that this rule decides about. */
  excludes(rule: number): boolean {
    return rule >= 0 && !this.#rules[rule]!.include;
  }

  /** State of a folder in a folder. @param decided the rule that decided about it */
  enter(state: RuleState, name: string, decided: number): RuleState {
    return { steps: this.#advance(state.steps, name), decided };
  }

  /** Whether something below a folder with this state may be included although the folder is not. */
  mayInclude({ steps, decided }: RuleState): boolean {
    if (this.#lastFloatingInclude > decided) return true;
    return steps.some(({ program }) => program.include && program.rule > decided);
  }

  #advance(steps: readonly Step[], name: string): readonly Step[] {
    const folded = this.#folds ? name.toLowerCase() : name;
    const next: Step[] = [];
    for (const program of this.#floating.matching(name, folded)) {
      if (program.parts.length > 2) next.push({ program, at: 2 });
    }
    for (const { program, at } of steps) {
      const part = program.parts[at]!;
      if (part.kind === 'deep') next.push({ program, at });
      else if (at + 1 < program.parts.length && matches(part, name, folded, program.nocase))
        next.push({ program, at: at + 1 });
    }
    return closure(next);
  }
}

/** `deep` matches no name as well: the part behind it is reached at once. */
function closure(steps: readonly Step[]): Step[] {
  const all: Step[] = [];
  const add = (step: Step): void => {
    if (all.some(({ program, at }) => program === step.program && at === step.at)) return;
    all.push(step);
    const { program, at } = step;
    if (program.parts[at]!.kind === 'deep' && at + 1 < program.parts.length) add({ program, at: at + 1 });
  };
  for (const step of steps) add(step);
  return all;
}

function matches(part: Part, name: string, folded: string, nocase: boolean): boolean {
  const text = nocase ? folded : name;
  switch (part.kind) {
    case 'deep':
    case 'any':
      return true;
    case 'name':
      return text === part.text;
    case 'suffix':
      return text.endsWith(part.text);
    case 'prefix':
      return text.startsWith(part.text);
    case 'regexp':
      return part.regexp.test(name);
  }
}

/** Patterns that match at any depth, by their first name: asked for every entry, so most are found by a look-up. */
class Floating {
  readonly #names: Map<string, Program[]> = new Map();
  readonly #foldedNames: Map<string, Program[]> = new Map();
  /** `*.ext` by `.ext` */
  readonly #endings: Map<string, Program[]> = new Map();
  readonly #others: Program[] = [];
  /** Lengths of the names, and last characters of the endings: most names need no look-up. */
  readonly #lengths = new Few();
  readonly #lastCharacters = new Few();

  constructor(programs: readonly Program[]) {
    for (const program of programs) {
      const part = program.parts[1]!;
      const simple = part.kind === 'suffix' && part.text.lastIndexOf('.') === 0;
      if (part.kind === 'name') {
        put(program.nocase ? this.#foldedNames : this.#names, part.text, program);
        this.#lengths.add(part.text.length);
      } else if (simple && !program.nocase) {
        put(this.#endings, part.text, program);
        this.#lastCharacters.add(part.text.charCodeAt(part.text.length - 1));
      } else this.#others.push(program);
    }
  }

  /** Programs whose first name matches. */
  matching(name: string, folded: string): readonly Program[] {
    let found: readonly Program[] = nothing;
    const add = (more: readonly Program[] | undefined): void => {
      if (more !== undefined) found = found.length === 0 ? more : [...found, ...more];
    };
    if (this.#lengths.mayHave(name.length)) add(this.#names.get(name));
    if (this.#foldedNames.size > 0 && this.#lengths.mayHave(folded.length))
      add(this.#foldedNames.get(folded));
    if (this.#lastCharacters.mayHave(name.charCodeAt(name.length - 1))) {
      const dot = name.lastIndexOf('.');
      if (dot >= 0) add(this.#endings.get(name.slice(dot)));
    }
    for (const program of this.#others) {
      if (matches(program.parts[1]!, name, folded, program.nocase)) add([program]);
    }
    return found;
  }
}

function put(map: Map<string, Program[]>, key: string, program: Program): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [program]);
  else list.push(program);
}
