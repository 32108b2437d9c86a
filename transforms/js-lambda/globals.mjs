// What a handler finds in its global scope: clock, chance, environment and console of the call, and Node's globals.
import { Buffer } from './node/buffer.mjs';
import process, { setEnvironment } from './node/process.mjs';
import * as timers from './timers.mjs';
import { refuse } from './node/refuse.mjs';
import { console, lines } from './node/console.mjs';
import { fill, random, seedRandom, uuid } from './random.mjs';

export { lines };

let nowMs = 0;
const NativeDate = globalThis.Date;

function Date(...values) {
  if (!new.target) return new NativeDate(nowMs).toString();
  return Reflect.construct(NativeDate, values.length ? values : [nowMs], new.target);
}
Object.setPrototypeOf(Date, NativeDate);
Date.prototype = NativeDate.prototype;
Date.prototype.constructor = Date;
Date.now = () => nowMs;

/** Sets everything to what the call says. */
export function begin(invocation) {
  nowMs = Number(invocation.nowMs);
  seedRandom(invocation.seed);
  setEnvironment(invocation);
}

const performance = { now: () => 0, get timeOrigin() { return nowMs; }, mark() {}, measure() {}, toJSON: () => ({}) };
const crypto = { getRandomValues: fill, randomUUID: uuid, get subtle() { return refuse('crypto.subtle', 'it is not part of the adapter'); } };
const network = (name) => () => refuse(name, 'it has no network');
const globals = {
  Buffer, Date, console, crypto, performance, process, global: globalThis,
  fetch: async () => refuse('fetch', 'it has no network'),
  XMLHttpRequest: network('XMLHttpRequest'), WebSocket: network('WebSocket'),
  ...Object.fromEntries(['setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval', 'clearImmediate'].map((name) => [name, timers[name]])),
};
for (const [name, value] of Object.entries(globals)) {
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
}
Math.random = random;
// Without the tables of ICU the engine lacks it; text that is composed already, as most is, stays right.
String.prototype.normalize ??= function () { return /^[\u0000-\u02ff]*$/.test(this) ? String(this) : refuse('String.normalize', 'the engine has no Unicode tables'); };
