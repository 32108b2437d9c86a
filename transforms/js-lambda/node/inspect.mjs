// Values as text, much as Node writes them.
const WIDTH = 72;
const quote = (text) => (text.includes("'") ? JSON.stringify(text) : `'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"')}'`);

export function inspect(value, options = {}) {
  return show(value, typeof options === 'object' && options !== null ? (options.depth === null ? Infinity : (options.depth ?? 2)) : 2, []);
}

function show(value, depth, above) {
  switch (typeof value) {
    case 'string':
      return quote(value);
    case 'bigint':
      return `${value}n`;
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value);
    case 'function':
      return value.name ? `[Function: ${value.name}]` : '[Function (anonymous)]';
    case 'object':
      return value === null ? 'null' : object(value, depth, above);
    default:
      return String(value);
  }
}

function object(value, depth, above) {
  if (above.includes(value)) return '[Circular *1]';
  if (value instanceof Error) return error(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
  if (value instanceof RegExp) return String(value);
  if (value instanceof Promise) return 'Promise {}';
  const type = value.constructor?.name ?? '[Object: null prototype]';
  if (type === 'Buffer') return `<Buffer${[...value.subarray(0, 50)].map((byte) => ' ' + byte.toString(16).padStart(2, '0')).join('')}${value.length > 50 ? ` ... ${value.length - 50} more bytes` : ''}>`;
  if (above.length > depth) return Array.isArray(value) ? '[Array]' : `[${type}]`;
  const inner = (other) => show(other, depth, [...above, value]);
  const members = () => Object.entries(value).map(([name, member]) => `${/^[A-Za-z_$][\w$]*$/.test(name) ? name : quote(name)}: ${inner(member)}`);
  if (Array.isArray(value) || ArrayBuffer.isView(value)) {
    const shown = Array.from(value).slice(0, 100).map(inner);
    if (value.length > 100) shown.push(`... ${value.length - 100} more items`);
    return enclose(Array.isArray(value) ? '' : `${type}(${value.length}) `, '[', shown, ']');
  }
  if (value instanceof Map) return enclose(`Map(${value.size}) `, '{', [...value].map(([name, member]) => `${inner(name)} => ${inner(member)}`), '}');
  if (value instanceof Set) return enclose(`Set(${value.size}) `, '{', [...value].map(inner), '}');
  return enclose(type === 'Object' ? '' : `${type} `, '{', members(), '}');
}

function enclose(prefix, open, parts, close) {
  if (parts.length === 0) return `${prefix}${open}${close}`;
  const line = `${prefix}${open} ${parts.join(', ')} ${close}`;
  return line.length <= WIDTH && !line.includes('\n') ? line : `${prefix}${open}\n  ${parts.join(',\n').replaceAll('\n', '\n  ')}\n${close}`;
}

function error(value) {
  const frames = String(value.stack ?? '').trim().split('\n').filter(Boolean);
  return [`${value.name}: ${value.message}`, ...frames.map((frame) => `    at ${frame}`)].join('\n');
}

/** As `util.format`. */
export function format(first, ...rest) {
  let used = 0;
  let text = first;
  if (typeof first === 'string' && rest.length) {
    text = first.replace(/%([sdifjoOc%])/g, (all, kind) => {
      if (kind === '%') return '%';
      if (used === rest.length) return all;
      const value = rest[used++];
      switch (kind) {
        case 's': return typeof value === 'object' && value !== null ? inspect(value, { depth: 0 }) : String(value);
        case 'd': return typeof value === 'bigint' ? `${value}n` : String(Number(value));
        case 'i': return typeof value === 'bigint' ? `${value}n` : String(parseInt(value, 10));
        case 'f': return String(parseFloat(value));
        case 'j': return JSON.stringify(value);
        case 'c': return '';
        default: return inspect(value, { depth: 4 });
      }
    });
  } else if (arguments.length === 0) {
    return '';
  } else if (typeof first !== 'string') {
    text = inspect(first);
  }
  return [text, ...rest.slice(used).map((value) => (typeof value === 'string' ? value : inspect(value)))].join(' ');
}
