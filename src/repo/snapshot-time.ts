/** Times as people name them in `@2026-11-01`: a year, month, day, hour, minute or second, which means its end. */

const form = /^(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d)(?::(\d\d)(?::(\d\d))?)?)?)?)?(Z)?$/;

/**
 * Milliseconds of the first moment after the time that a text names; undefined when it names none. The time is the
 * machine's own, as `list` shows it, or with a `Z` behind it UTC.
 */
export function endOfTime(text: string): number | undefined {
  const match = form.exec(text);
  if (match === null) return undefined;
  const given = match.slice(1, 7).filter((part) => part !== undefined);
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = given.map(Number);
  const start = [year, month - 1, day, hour, minute, second] as const;
  if (!isInCalendar(start)) return undefined;
  const [y, mo, d, h, mi, s] = start.map((part, i) => (i === given.length - 1 ? part + 1 : part)) as number[];
  // Not with the parts as arguments: the years 0 to 99 would be those of the last century.
  const end = new Date(0);
  if (match[7] === undefined) {
    end.setFullYear(y!, mo, d);
    end.setHours(h!, mi, s, 0);
  } else {
    end.setUTCFullYear(y!, mo, d);
    end.setUTCHours(h!, mi, s, 0);
  }
  return end.getTime();
}

/** Whether there is such a day and time; a leap second counts as one. */
function isInCalendar([year, month, day, hour, minute, second]: readonly [
  number,
  number,
  number,
  number,
  number,
  number,
]): boolean {
  const date = new Date(0);
  date.setUTCFullYear(year, month, day);
  return date.getUTCMonth() === month && date.getUTCDate() === day && hour < 24 && minute < 60 && second < 61;
}
