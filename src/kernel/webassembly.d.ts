/**
 * The part of the WebAssembly JavaScript interface that kernel.ts uses. TypeScript has it only in its DOM
 * library, which must not be in scope in a program without a browser; delete this file when the types of
 * Node bring it.
 */
declare namespace WebAssembly {
  /** Compiled code; may be posted to a worker. */
  class Module {
    constructor(bytes: Uint8Array);
    private readonly brand: 'module';
  }
  /** Linear memory in pages of 64 KiB. */
  class Memory {
    constructor(limits: { initial: number; maximum?: number });
    readonly buffer: ArrayBuffer;
  }
  /** A module with its imports. */
  class Instance {
    constructor(module: Module, imports: Readonly<Record<string, Readonly<Record<string, unknown>>>>);
    readonly exports: Readonly<Record<string, unknown>>;
  }
}
