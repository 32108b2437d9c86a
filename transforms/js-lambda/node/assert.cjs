// Node's `assert`, the usual part.
const { isDeepStrictEqual } = require('./util.mjs');

class AssertionError extends Error {
  constructor(message) {
    super(message);
    this.name = 'AssertionError';
    this.code = 'ERR_ASSERTION';
  }
}

const check = (condition, message, otherwise) => {
  if (condition) return;
  throw message instanceof Error ? message : new AssertionError(message ?? otherwise);
};
const assert = (value, message) => check(value, message, 'The expression evaluated to a falsy value');
module.exports = Object.assign(assert, {
  AssertionError,
  ok: assert,
  equal: (a, b, message) => check(a == b, message, `${a} == ${b}`),
  notEqual: (a, b, message) => check(a != b, message, `${a} != ${b}`),
  strictEqual: (a, b, message) => check(Object.is(a, b), message, `${a} === ${b}`),
  notStrictEqual: (a, b, message) => check(!Object.is(a, b), message, `${a} !== ${b}`),
  deepEqual: (a, b, message) => check(isDeepStrictEqual(a, b), message, 'not deeply equal'),
  deepStrictEqual: (a, b, message) => check(isDeepStrictEqual(a, b), message, 'not deeply equal'),
  fail: (message) => check(false, message, 'Failed'),
});
assert.strict = assert;
