/** The one function of `picomatch` that is used; the package has no types of its own. */
declare module 'picomatch' {
  interface Picomatch {
    makeRe(pattern: string, options?: Readonly<Record<string, boolean>>): RegExp | false;
  }
  const picomatch: Picomatch;
  export default picomatch;
}
