// Node's `util`, the part that handlers use.
import { format, inspect } from './inspect.mjs';

const custom = Symbol.for('nodejs.util.promisify.custom');

export function promisify(original) {
  return original[custom] ?? function (...values) {
    return new Promise((resolve, reject) => original.call(this, ...values, (error, value) => (error ? reject(error) : resolve(value))));
  };
}
promisify.custom = custom;

export function callbackify(original) {
  return function (...values) {
    const callback = values.pop();
    original.apply(this, values).then((value) => queueMicrotask(() => callback(null, value)), (error) => queueMicrotask(() => callback(error)));
  };
}

export function inherits(constructor, base) {
  constructor.super_ = base;
  Object.setPrototypeOf(constructor.prototype, base.prototype);
}

export const deprecate = (original) => original;

export function isDeepStrictEqual(a, b) {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (a instanceof Date) return a.getTime() === b.getTime();
  if (a instanceof RegExp) return String(a) === String(b);
  if (a instanceof Map || a instanceof Set) return a.size === b.size && isDeepStrictEqual([...a], [...b]);
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && isDeepStrictEqual(a[name], b[name]));
}

const tag = (name) => (value) => Object.prototype.toString.call(value) === `[object ${name}]`;
export const types = {
  isDate: tag('Date'), isRegExp: tag('RegExp'), isMap: tag('Map'), isSet: tag('Set'), isPromise: tag('Promise'),
  isNativeError: (value) => value instanceof Error, isTypedArray: (value) => ArrayBuffer.isView(value) && !(value instanceof DataView),
  isUint8Array: (value) => value instanceof Uint8Array, isArrayBuffer: tag('ArrayBuffer'),
};
export const isArray = Array.isArray, isDate = types.isDate, isRegExp = types.isRegExp, isError = types.isNativeError;
export const isString = (value) => typeof value === 'string', isFunction = (value) => typeof value === 'function';
export const { TextDecoder, TextEncoder } = globalThis;
inspect.custom = Symbol.for('nodejs.util.inspect.custom');
export { format, inspect };
export default {
  TextDecoder, TextEncoder, callbackify, deprecate, format, inherits, inspect, isArray, isDate, isDeepStrictEqual, isError, isFunction,
  isRegExp, isString, promisify, types,
};
