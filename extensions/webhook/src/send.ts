/**
 * One POST that arrives, or an error that says why not. Tried again after failures that pass (no connection, 429, 5xx);
 * a redirect is not followed, because what is sent is meant for one place.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { BackpackError } from 'backpack-cli/extension';

/** What to send and how often to try. */
export interface Sending {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly timeoutMs: number;
  readonly retries: number;
  readonly signal: AbortSignal;
  /** Before the second attempt; doubles with each one. */
  readonly pauseMs?: number;
}

const pauseMaxMs = 30_000;

/** @throws BackpackError BP_WEBHOOK, without the address beyond its host */
export async function send(sending: Sending): Promise<void> {
  const { url, headers, body, timeoutMs, retries, signal, pauseMs = 1000 } = sending;
  for (let attempt = 0; ; attempt += 1) {
    let why: string;
    let again = true;
    let waitMs = pauseMs * 2 ** attempt;
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
      const answer = await fetch(url, { method: 'POST', headers, body, redirect: 'manual', signal: limit });
      await answer.body?.cancel();
      if (answer.ok) return;
      why = `it answered ${answer.status}`;
      again = answer.status === 429 || answer.status >= 500;
      const after = Number(answer.headers.get('retry-after'));
      if (Number.isFinite(after) && after > 0) waitMs = after * 1000;
    } catch (error) {
      if (signal.aborted) throw failed(url, 'it was stopped', attempt + 1, error);
      const { name, message, cause } = error as Error & { cause?: { code?: string } };
      why = name === 'TimeoutError' ? `no answer for ${timeoutMs / 1000} s` : (cause?.code ?? message);
    }
    if (!again || attempt >= retries) throw failed(url, why, attempt + 1);
    await pause(Math.min(waitMs, pauseMaxMs), undefined, { signal }).catch(() => {});
    if (signal.aborted) throw failed(url, why, attempt + 1);
  }
}

function failed(url: string, why: string, attempts: number, cause?: unknown): BackpackError {
  const { host } = new URL(url);
  const tried = attempts > 1 ? ` (${attempts} attempts)` : '';
  return new BackpackError('BP_WEBHOOK', `nothing could be sent to ${host}: ${why}${tried}`, {
    kind: 'network',
    retry: 'later',
    context: { host },
    cause,
    hint: 'check the address and the server',
  });
}
