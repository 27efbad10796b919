/**
 * The extension: tells a web address when a command has ended, and pings a watchdog (Healthchecks and its like) when
 * one begins, succeeds or fails. What is sent holds no keys, no credentials and no names of files.
 */
import { defineExtension, type Extension, type HookCall, type HookedOperation } from 'backpack-cli/extension';
import { bodyOf, messageOf } from './message.ts';
import { readOptions, type Target, type WebhookOptions } from './options.ts';
import { send } from './send.ts';

const extension: Extension = defineExtension({
  name: 'webhook',
  apiVersion: 1,
  setup(api) {
    const options = readOptions(api.options);
    // All attempts with their pauses fit into the time of the hook.
    const timeoutMs = (options.retries + 1) * (options.timeoutMs + 30_000);
    const add = (name: string, run: (call: HookCall, signal: AbortSignal) => Promise<void>): void => {
      const [operation, moment] = name.split('.') as [HookedOperation, HookCall['moment']];
      // A notification that fails is no reason to have no backup.
      api.hooks[operation][moment].add(run, { timeoutMs, onFailure: 'warn' });
    };
    const { notify, ping } = options;
    if (notify !== undefined) {
      for (const name of options.events) add(name, (call, signal) => post(notify, options, call, signal));
    }
    if (ping === undefined) return;
    for (const operation of options.pingOn) {
      add(`${operation}.before`, (call, signal) => pinging(ping, '/start', options, call, signal));
      add(`${operation}.after`, (call, signal) => pinging(ping, '', options, call, signal));
      add(`${operation}.failed`, (call, signal) => pinging(ping, '/fail', options, call, signal));
    }
  },
});

export default extension;

async function post(
  target: Target,
  options: WebhookOptions,
  call: HookCall,
  signal: AbortSignal,
): Promise<void> {
  const { type, body } = bodyOf(options.template, call);
  const headers = { ...options.headers, 'content-type': type };
  const { timeoutMs, retries } = options;
  await send({ url: target.read(), headers, body, timeoutMs, retries, signal });
}

/** The watchdog measures the time between start and end itself. */
async function pinging(
  target: Target,
  end: string,
  options: WebhookOptions,
  call: HookCall,
  signal: AbortSignal,
): Promise<void> {
  const url = new URL(target.read());
  url.pathname = url.pathname.replace(/\/$/, '') + end;
  const headers = { 'content-type': 'text/plain; charset=utf-8' };
  const { timeoutMs, retries } = options;
  await send({ url: url.href, headers, body: messageOf(call), timeoutMs, retries, signal });
}
