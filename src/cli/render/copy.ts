/** What is said when a snapshot is damaged and its copy was used: the same words in every command. */
import type { Voice } from './output.ts';
import { safe } from './text.ts';

/** A damaged snapshot object, and the pack with the copy that stands for it. */
export interface UsedCopy {
  readonly object: string;
  readonly code: string;
  readonly message: string;
  readonly copy: string;
}

/** Tells it. */
export function tellCopy(voice: Voice, { object, code, message, copy }: UsedCopy): void {
  voice.event({ type: 'damage', code, object, message, copy });
  voice.warn(
    `damage: ${safe(object)}: ${safe(message)} (${code})\n` +
      `  nothing is lost: the copy of this snapshot in ${safe(copy)} is used instead\n`,
  );
}
