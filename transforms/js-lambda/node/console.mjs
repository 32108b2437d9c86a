// `console`, into the log lines of the call.
import { format, inspect } from './inspect.mjs';

/** Lines kept of a call; the host keeps fewer. */
const MOST_LINES = 1000;
const MOST_CHARACTERS = 16_384;

const kept = [];
let leftOut = 0;
let indent = '';

export function write(level, message) {
  if (kept.length === MOST_LINES) leftOut++;
  else kept.push({ level, message: (indent + message).slice(0, MOST_CHARACTERS) });
}

/** The lines so far. */
export function lines() {
  return leftOut ? [...kept, { level: 'warn', message: `${leftOut} more lines left out` }] : kept;
}

const at = (level) => (...values) => write(level, format(...values));
const counts = new Map();

export const console = {
  debug: at('debug'), log: at('info'), info: at('info'), warn: at('warn'), error: at('error'), trace: at('error'),
  dir: (value, options) => write('info', inspect(value, options)),
  dirxml: at('info'),
  table: at('info'),
  assert: (condition, ...values) => condition || write('error', `Assertion failed${values.length ? ': ' : ''}${format(...values)}`),
  group(...values) {
    if (values.length) write('info', format(...values));
    indent += '  ';
  },
  groupEnd: () => (indent = indent.slice(2)),
  count(label = 'default') {
    counts.set(label, (counts.get(label) ?? 0) + 1);
    write('info', `${label}: ${counts.get(label)}`);
  },
  countReset: (label = 'default') => counts.delete(label),
  time() {},
  timeLog: (label = 'default') => write('info', `${label}: 0ms`),
  timeEnd: (label = 'default') => write('info', `${label}: 0ms`),
};
console.groupCollapsed = console.group;
export default console;
