// Results as tables of Markdown, readable in a terminal as well. Pure.
import { grouped, median, pairedRatio, rowsOf, runsOf } from './statistics.mjs';

const seconds = (value) => value.toFixed(value < 1 ? 3 : 2);
const times = (value) => (value === undefined ? '' : `${value.toFixed(2)}x`);
const megabytes = (value) => (value === undefined ? '' : String(Math.round(value / 1e6)));

/** Lines of a Markdown table, columns padded. */
export function table(head, rows) {
  const widths = head.map((title, i) => Math.max(3, title.length, ...rows.map((row) => row[i].length)));
  const line = (cells) => `| ${cells.map((cell, i) => cell.padEnd(widths[i])).join(' | ')} |`;
  return [line(head), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...rows.map(line)].join(
    '\n',
  );
}

/** Parts that tell how time and memory grow: a row for each amount, its first and its unchanged run side by side. */
const growing = ['files', 'sizes'];

function growth(runs, part) {
  const first = (run) => run.measure.endsWith(', first');
  const rows = runs.filter((run) => run.part === part && (first(run) || run.measure.endsWith(' alone')));
  const amount = ({ measure }) => Number.parseInt(measure.replace(/^\D*/, ''), 10);
  rows.sort((a, b) => Number(first(b)) - Number(first(a)) || amount(a) - amount(b));
  return rows.map((run) => {
    const label = run.measure.replace(/, first$/, '');
    const later = runs.find((other) => other.part === part && other.measure === `${label}, unchanged`);
    const of = (one) => [one && seconds(one.wallS), one && seconds(one.cpuS), one && megabytes(one.rssBytes)];
    const index = run.indexBytes === undefined ? '' : (run.indexBytes / 1e6).toFixed(1);
    return [label, ...of(run), ...of(later), megabytes(run.storedBytes), index].map((cell) => cell ?? '');
  });
}

/** One table for each part and measure: medians and all runs; ratios are medians of pairs of one round. */
export function report(runs) {
  const parts = [];
  for (const part of growing) {
    const rows = growth(runs, part);
    const first = ['first, wall s', 'cpu s', 'memory MB'];
    const head = ['', ...first, 'unchanged, wall s', 'cpu s', 'memory MB', 'stored MB', 'of it index MB'];
    if (rows.length > 0) parts.push(`**${part}**\n\n${table(head, rows)}`);
  }
  for (const [title, programs] of grouped(runs.filter(({ part }) => !growing.includes(part)))) {
    const rows = rowsOf(programs, 'backpack').map((row) => [
      row.program,
      seconds(row.wallS),
      times(row.wallRatio),
      seconds(row.cpuS),
      times(row.cpuRatio),
      megabytes(row.rssBytes),
      megabytes(row.storedBytes),
      row.walls.length > 9
        ? `${row.walls.length} runs, ${seconds(Math.min(...row.walls))} to ${seconds(Math.max(...row.walls))}`
        : row.walls.map(seconds).join(' '),
    ]);
    const head = [
      'program',
      'wall s',
      'to ours',
      'cpu s',
      'to ours',
      'memory MB',
      'stored MB',
      'all runs, wall s',
    ];
    parts.push(`**${title}**\n\n${table(head, rows)}`);
  }
  return `${parts.join('\n\n')}\n`;
}

/** The targets of this project, and what was measured; only those that this run has figures for. */
export function targets(runs) {
  const rows = [];
  const add = (text, goal, value, met, shown = times(value)) => {
    if (value !== undefined) rows.push([text, goal, shown, met(value) ? 'met' : 'missed']);
  };
  const ratio = (part, name, peer, field = 'wallS') =>
    pairedRatio(runsOf(runs, part, name, 'backpack'), runsOf(runs, part, name, peer), field);
  const atLeast = (text, value, goal) => add(text, `at least ${goal}x`, value, (got) => got >= goal);
  const atMost = (text, value, goal) => add(text, `at most ${goal}x`, value, (got) => got <= goal);
  for (const peer of ['restic', 'borg']) {
    atLeast(`first backup of big, beside ${peer}`, ratio('big', 'first', peer), 4);
    atLeast(`first backup of tree, beside ${peer}`, ratio('tree', 'first', peer), 3.5);
  }
  atLeast('unchanged tree, beside restic', ratio('tree', 'unchanged', 'restic'), 4);
  atLeast('unchanged big, beside restic', ratio('big', 'unchanged', 'restic'), 1);
  for (const part of ['tree', 'big'])
    atLeast(`restore of ${part}, beside restic`, ratio(`restore-${part}`, 'restore', 'restic'), 3);
  const floor = pairedRatio(
    runsOf(runs, 'floor', 'big', 'floor'),
    runsOf(runs, 'floor', 'big', 'backpack'),
    'cpuS',
  );
  atMost('cpu of first backup of big, beside the floor', floor, 1.5);
  const own = runs.filter(({ program, part }) => program === 'backpack' && part !== 'startup');
  const rss = own.length === 0 ? undefined : Math.max(...own.map(({ rssBytes }) => rssBytes));
  const limit = 256 * 2 ** 20;
  add(
    'peak memory',
    'at most 256 MiB',
    rss,
    (got) => got <= limit,
    `${((rss ?? 0) / 2 ** 20).toFixed(0)} MiB`,
  );
  const start = pairedRatio(
    runsOf(runs, 'startup', 'version', 'node'),
    runsOf(runs, 'startup', 'version', 'backpack'),
    'wallS',
  );
  atMost('start, beside node -e 0', start, 1.5);
  const stored = (program) => runsOf(runs, 'edit', 'second', program).map(({ storedBytes }) => storedBytes);
  const [ours, theirs] = [stored('backpack'), stored('restic')];
  const more = ours.length && theirs.length ? median(ours) / median(theirs) : undefined;
  atMost('bytes stored after edit, beside restic', more, 1.1);
  return rows.length === 0 ? '' : `${table(['target', 'goal', 'measured', ''], rows)}\n`;
}
