// Node's `timers`.
export { clearImmediate, clearInterval, clearTimeout, setImmediate, setInterval, setTimeout } from '../timers.mjs';
