// Node's `path` of POSIX, the part that works on names alone.
const normalize = (path) => {
  const parts = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..' && parts.length && parts.at(-1) !== '..') parts.pop();
    else if (part !== '..' || !path.startsWith('/')) parts.push(part);
  }
  const end = parts.length && path.endsWith('/') ? '/' : '';
  return (path.startsWith('/') ? '/' : '') + parts.join('/') + end || '.';
};
const basename = (path, ending = '') => {
  const name = path.replace(/\/+$/, '').split('/').at(-1);
  return ending && name !== ending && name.endsWith(ending) ? name.slice(0, -ending.length) : name;
};
const extname = (path) => /[^.](\.[^.]*)$/.exec(basename(path))?.[1] ?? '';
const dirname = (path) => {
  const at = path.replace(/\/+$/, '').lastIndexOf('/');
  return at < 0 ? '.' : path.slice(0, at) || '/';
};
const join = (...parts) => normalize(parts.filter(Boolean).join('/'));
const isAbsolute = (path) => path.startsWith('/');
const resolve = (...parts) => {
  const last = parts.findLastIndex(isAbsolute);
  return normalize([last < 0 ? '/var/task' : '', ...parts.slice(Math.max(last, 0))].filter((part) => part !== '').join('/')).replace(/(.)\/$/, '$1');
};
module.exports = { basename, dirname, extname, isAbsolute, join, normalize, resolve, sep: '/', delimiter: ':' };
module.exports.posix = module.exports;
