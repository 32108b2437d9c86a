// Node's `url`: the two classes, and of the old interface what they can answer.
export const { URL, URLSearchParams } = globalThis;
export const format = (url) => (typeof url === 'string' ? url : (url.href ?? String(url)));
export const resolve = (from, to) => new URL(to, from).href;
export const parse = (text, query) => {
  const { href, protocol, host, hostname, port, pathname, search, hash, searchParams } = new URL(text);
  return { href, protocol, host, hostname, port: port || null, pathname, search, hash, path: pathname + search, query: query ? Object.fromEntries(searchParams) : search.slice(1) };
};
export default { URL, URLSearchParams, format, parse, resolve };
