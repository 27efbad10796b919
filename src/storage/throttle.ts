/** A storage that is written to no faster than a limit allows. Everything but writing goes straight through. */
import { type RateLimit, RateLimiter } from '../base/rate-limiter.ts';
import type { ObjectWriter, Storage } from './storage.ts';

/** `storage` itself when there is no limit. */
export function throttled(storage: Storage, limit: RateLimit | undefined): Storage {
  if (limit === undefined) return storage;
  const limiter = new RateLimiter(limit);
  const own: Pick<Storage, 'put' | 'create'> = {
    put: async (name, bytes, options) => {
      await limiter.take(bytes.byteLength);
      return storage.put(name, bytes, options);
    },
    create: async (name, options) => throttledWriter(await storage.create(name, options), limiter),
  };
  return new Proxy(storage, {
    get: (target, property) => {
      if (property === 'put' || property === 'create') return own[property];
      const value: unknown = Reflect.get(target, property, target);
      // Methods of classes with private fields work on the object itself only.
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

function throttledWriter(writer: ObjectWriter, limiter: RateLimiter): ObjectWriter {
  return {
    append: async (pieces) => {
      await limiter.take(pieces.reduce((sum, piece) => sum + piece.byteLength, 0));
      await writer.append(pieces);
    },
    commit: () => writer.commit(),
    abort: () => writer.abort(),
  };
}
