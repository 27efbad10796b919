/**
 * Payloads of frames (docs/protocol.md, "Payloads"): JSON objects, or lines of JSON, of at most 64 KiB, except `data`,
 * `ack` and `ping`. Values are read one by one and checked; unknown fields are ignored.
 */
import { type Frame, protocolError } from './frame.ts';

/** What a JSON payload holds. */
export type Message = Readonly<Record<string, unknown>>;

/** A message as payload. */
export function formatMessage(message: Message): Buffer {
  return Buffer.from(JSON.stringify(message), 'utf8');
}

/** @throws BackpackError BP_PROTOCOL */
export function parseMessage(frame: Frame): Message {
  const value = parseJson(frame.payload.toString('utf8'));
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw protocolError('a message is not an object');
  }
  return value as Message;
}

/** A text of at most `max` characters. @throws BackpackError BP_PROTOCOL */
export function textOf(message: Message, field: string, max: number): string {
  const value = own(message, field);
  if (typeof value === 'string' && value.length <= max) return value;
  throw protocolError(`${field} is missing or wrong`);
}

/** A text, or undefined when the field is missing. @throws BackpackError BP_PROTOCOL */
export function optionalTextOf(message: Message, field: string, max: number): string | undefined {
  return own(message, field) === undefined ? undefined : textOf(message, field, max);
}

/** A whole number from 0 to 2^53 - 1. @throws BackpackError BP_PROTOCOL */
export function countOf(message: Message, field: string): number {
  const value = own(message, field);
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw protocolError(`${field} is missing or wrong`);
}

/** A number, or undefined when the field is missing. @throws BackpackError BP_PROTOCOL */
export function optionalCountOf(message: Message, field: string): number | undefined {
  return own(message, field) === undefined ? undefined : countOf(message, field);
}

/** Whether a field is `true`. */
export function flagOf(message: Message, field: string): boolean {
  return own(message, field) === true;
}

/** An object in a field, or undefined when the field is missing. @throws BackpackError BP_PROTOCOL */
export function optionalObjectOf(message: Message, field: string): Message | undefined {
  const value = own(message, field);
  if (value === undefined) return undefined;
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Message;
  throw protocolError(`${field} is wrong`);
}

/** One object of a listing: name, size, time of receipt in ms. */
export type Item = readonly [name: string, sizeBytes: number, timeMs: number];

/** Lines of a listing. */
export function formatItems(items: readonly Item[]): Buffer {
  return Buffer.from(items.map((item) => `${JSON.stringify(item)}\n`).join(''), 'utf8');
}

/** @throws BackpackError BP_PROTOCOL */
export function parseItems(frame: Frame): Item[] {
  const text = frame.payload.toString('utf8');
  if (text !== '' && !text.endsWith('\n')) throw protocolError('a listing is cut short');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const value = parseJson(line);
      if (!Array.isArray(value)) throw protocolError('a line of a listing is wrong');
      const [name, sizeBytes, timeMs] = value as unknown[];
      if (typeof name !== 'string' || !Number.isSafeInteger(sizeBytes) || !Number.isFinite(timeMs)) {
        throw protocolError('a line of a listing is wrong');
      }
      return [name, sizeBytes as number, timeMs as number];
    });
}

/** An offset, 8 bytes. */
export function formatOffset(offset: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(offset));
  return bytes;
}

/** @throws BackpackError BP_PROTOCOL */
export function parseOffset(frame: Frame): number {
  if (frame.payload.length !== 8) throw protocolError('an offset has 8 bytes');
  const offset = Number(frame.payload.readBigUInt64BE());
  if (!Number.isSafeInteger(offset)) throw protocolError('an offset is too large');
  return offset;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw protocolError('a message is not JSON');
  }
}

function own(message: Message, field: string): unknown {
  return Object.hasOwn(message, field) ? message[field] : undefined;
}
