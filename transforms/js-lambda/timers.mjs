// Timers without a clock: what is due first runs first, once nothing else makes progress. Time does not pass.

/** Turns of the microtask queue after which the rest is taken to wait. The engine tells nothing of its queue. */
const PATIENCE_TURNS = 1000;
/** Turns without a timer after which the handler is taken never to answer. */
const LAST_TURN = 1_000_000;

let queue = [];
let elapsedMs = 0;
let serial = 0;

function add(callback, delayMs, values, every) {
  const timer = {
    id: ++serial, due: elapsedMs + Math.max(Number(delayMs) || 0, 1), callback, values, every,
    ref: () => timer, unref: () => timer, hasRef: () => true, refresh: () => timer, [Symbol.toPrimitive]: () => timer.id,
  };
  queue.push(timer);
  return timer;
}

function remove(timer) {
  if (timer != null) queue = queue.filter((other) => other.id !== Number(timer));
}

/** Runs the timer that is due first; false if there is none. */
function runNext() {
  if (queue.length === 0) return false;
  const timer = queue.reduce((first, other) => (other.due < first.due || (other.due === first.due && other.id < first.id) ? other : first));
  remove(timer);
  elapsedMs = Math.max(elapsedMs, timer.due);
  if (timer.every !== undefined) {
    timer.due = elapsedMs + timer.every;
    queue.push(timer);
  }
  timer.callback(...timer.values);
  return true;
}

export const setTimeout = (callback, delayMs, ...values) => add(callback, delayMs, values);
export const setInterval = (callback, delayMs, ...values) => add(callback, delayMs, values, Math.max(Number(delayMs) || 0, 1));
export const setImmediate = (callback, ...values) => add(callback, 0, values);
export const clearTimeout = remove, clearInterval = remove, clearImmediate = remove;

/** The promise's outcome. Runs timers while it waits, and gives up on a promise that nothing can settle. */
export async function settled(promise) {
  let done = false;
  const end = () => (done = true);
  promise.then(end, end);
  for (let turn = 1; !done && turn < LAST_TURN; turn++) {
    await null;
    if (turn % PATIENCE_TURNS === 0 && !done && runNext()) turn = 1;
  }
  if (!done) throw new Error('the handler neither returned a promise that is settled nor called its callback');
  return promise;
}
