// The figures behind every claim: medians of runs, ratios of pairs that ran in the same round. Pure, no I/O, so that
// the tests can check it. A run is one line of results: { part, measure, program, round, wallS, cpuS, rssBytes, ... }.

/** Middle value; of an even number, the mean of the two in the middle. */
export function median(values) {
  if (values.length === 0) throw new RangeError('no values');
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/**
 * How many times `ours` goes into `theirs`: the median over the rounds in which both ran, because what disturbs a
 * machine lasts longer than one run and disturbs both. undefined without a common round.
 */
export function pairedRatio(ours, theirs, field) {
  const ratios = [];
  for (const own of ours) {
    const other = theirs.find(({ round }) => round === own.round);
    if (other !== undefined && own[field] > 0) ratios.push(other[field] / own[field]);
  }
  return ratios.length === 0 ? undefined : median(ratios);
}

/** Groups runs by part and measure, then by program, in the order in which they first appear. */
export function grouped(runs) {
  const groups = new Map();
  for (const run of runs) {
    const key = `${run.part}, ${run.measure}`;
    if (!groups.has(key)) groups.set(key, new Map());
    const programs = groups.get(key);
    if (!programs.has(run.program)) programs.set(run.program, []);
    programs.get(run.program).push(run);
  }
  return groups;
}

/** Runs of one measure and program. */
export function runsOf(runs, part, measure, program) {
  return runs.filter((r) => r.part === part && r.measure === measure && r.program === program);
}

/** The rows of one group: medians, all runs, and the ratios to `base`. */
export function rowsOf(programs, base) {
  const own = programs.get(base);
  return [...programs].map(([program, runs]) => {
    const stored = runs.findLast((run) => run.storedBytes !== undefined)?.storedBytes;
    return {
      program,
      wallS: median(runs.map((run) => run.wallS)),
      walls: runs.map((run) => run.wallS),
      cpuS: median(runs.map((run) => run.cpuS)),
      rssBytes: Math.max(...runs.map((run) => run.rssBytes)),
      storedBytes: stored,
      wallRatio: own === undefined ? undefined : pairedRatio(own, runs, 'wallS'),
      cpuRatio: own === undefined ? undefined : pairedRatio(own, runs, 'cpuS'),
    };
  });
}
