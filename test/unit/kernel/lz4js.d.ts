// lz4js has no types of its own. Only an oracle for encoders: its decoder accepts damaged frames.
declare module 'lz4js' {
  export function compress(source: Uint8Array): Uint8Array;
  export function decompress(source: Uint8Array, sizeMax?: number): Uint8Array;
}
declare module 'lz4js/xxh32.js' {
  export function hash(seed: number, bytes: Uint8Array, index: number, length: number): number;
}
