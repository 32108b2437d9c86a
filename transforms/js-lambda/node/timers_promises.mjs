// Node's `timers/promises`.
import * as timers from '../timers.mjs';

export const setTimeout = (delayMs, value) => new Promise((resolve) => timers.setTimeout(resolve, delayMs, value));
export const setImmediate = (value) => setTimeout(0, value);
export default { setImmediate, setTimeout };
