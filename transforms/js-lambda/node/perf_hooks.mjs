// Node's `perf_hooks`: a clock that stands still.
export const performance = new Proxy({}, { get: (_, key) => globalThis.performance[key] });
export default { performance };
