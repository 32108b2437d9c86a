// Node's `querystring`.
export function parse(text, separator = '&', equals = '=') {
  const found = Object.create(null);
  for (const part of String(text).split(separator)) {
    if (!part) continue;
    const [name, value = ''] = part.split(equals, 1).concat(part.includes(equals) ? part.slice(part.indexOf(equals) + equals.length) : '').map(unescape);
    found[name] = name in found ? [].concat(found[name], value) : value;
  }
  return found;
}
export const stringify = (members, separator = '&', equals = '=') =>
  Object.entries(members ?? {}).flatMap(([name, value]) => [].concat(value).map((one) => `${escape(name)}${equals}${escape(one ?? '')}`)).join(separator);
export const escape = (text) => encodeURIComponent(String(text));
export const unescape = (text) => {
  const spaced = text.replaceAll('+', ' ');
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced;
  }
};
export const decode = parse, encode = stringify;
export default { decode, encode, escape, parse, stringify, unescape };
