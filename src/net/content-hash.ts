/** XXH64 for both ends of a connection: it finds damage between them, and is no protection against anybody. */
export { Xxh64 as ContentHash } from '../codec/xxhash.ts';
