/** What a server says of an object, checked. */
import { protocolError } from '../../net/frame.ts';
import { countOf, type Message, textOf } from '../../net/messages.ts';
import type { ObjectInfo } from '../storage.ts';

/** @returns undefined when it says that there is none. @throws BackpackError BP_PROTOCOL */
export function infoOf(message: Message, name: string): ObjectInfo | undefined {
  const info = Object.hasOwn(message, 'info') ? message['info'] : undefined;
  if (info === null) return undefined;
  if (typeof info !== 'object') throw protocolError('no information about an object');
  const found = info as Message;
  const timeMs = found['timeMs'];
  if (textOf(found, 'name', 300) !== name) throw protocolError('information about another object');
  if (typeof timeMs !== 'number' || !Number.isFinite(timeMs)) throw protocolError('an object without time');
  return { name, sizeBytes: countOf(found, 'sizeBytes'), timeMs };
}
