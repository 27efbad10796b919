/** Times that users write. */
import { BackpackError } from '../base/errors.ts';

const forms = /^(?:@(\d{1,11})|(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d))?(Z|[+-]\d\d:\d\d)?)?)$/;

/**
 * The moment of --time, in milliseconds since 1970: `2026-11-25`, `2026-11-25 10:30`, with seconds, with a `Z` or offset
 * (else it is local time), or `@` and seconds since 1970.
 * @throws BackpackError BP_USAGE
 */
export function parseTimeOption(text: string): number {
  const [, seconds, year, month, day, hour = '00', minute = '00', second = '00', zone = ''] =
    forms.exec(text) ?? [];
  const ms =
    seconds === undefined
      ? new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}${zone}`).getTime()
      : Number(seconds) * 1000;
  // Date takes the 31st of every month.
  const calendar =
    seconds !== undefined || new Date(`${year}-${month}-${day}T00:00:00Z`).getUTCDate() === Number(day);
  if (Number.isFinite(ms) && calendar) return ms;
  throw new BackpackError('BP_USAGE', `not a time: ${text}`, {
    kind: 'usage',
    hint: 'write 2026-11-25, "2026-11-25 10:30:00", 2026-11-25T10:30:00Z, or @ and seconds since 1970',
  });
}
