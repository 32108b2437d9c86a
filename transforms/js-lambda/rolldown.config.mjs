// Bundles a handler, what it imports, and the adapter into one module.
//
// Environment: HANDLER_FILE (its path), HANDLER_EXPORT (default: handler), BUNDLE (the file to write).
import { builtinModules } from 'node:module';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const handler = path.resolve(process.env.HANDLER_FILE ?? 'index.mjs');
if (!existsSync(handler)) throw new Error(`there is no handler ${handler}`);

/** Node's modules that are there, by the file that stands for each. */
const provided = {
  assert: 'assert.cjs', buffer: 'buffer.mjs', console: 'console.mjs', crypto: 'crypto.mjs', path: 'path.cjs', perf_hooks: 'perf_hooks.mjs',
  process: 'process.cjs', querystring: 'querystring.mjs', string_decoder: 'string_decoder.mjs', timers: 'timers.mjs',
  'timers/promises': 'timers_promises.mjs', url: 'url.mjs', util: 'util.mjs', zlib: 'zlib.mjs',
};
const network = /^(aws-sdk|@aws-sdk\/.*|@smithy\/.*|aws-xray-sdk.*)$|^aws-sdk\//;

const modules = {
  name: 'modules-of-node',
  resolveId(id, importer) {
    if (id === 'handler') return handler;
    const name = id.replace(/^node:/, '');
    if (provided[name]) return path.join(here, 'node', provided[name]);
    // From npm: Node's own is not there.
    if (name === 'events') return path.join(here, 'node_modules/events/events.js');
    if (builtinModules.includes(name) || network.test(name)) return `\0missing:${name}`;
    return null;
  },
  load(id) {
    if (!id.startsWith('\0missing:')) return null;
    const missing = JSON.stringify(path.join(here, 'node/missing.cjs'));
    return { code: `module.exports = require(${missing})(${JSON.stringify(id.slice(9))});`, moduleType: 'js' };
  },
};

export default {
  input: path.join(here, 'entry.mjs'),
  // Not `node`, which would leave Node's own modules outside and choose packages that need many of them.
  platform: 'neutral',
  resolve: { mainFields: ['module', 'main'] },
  plugins: [modules],
  transform: { define: { HANDLER_EXPORT: JSON.stringify(process.env.HANDLER_EXPORT || 'handler') } },
  output: { file: process.env.BUNDLE ?? path.join(here, 'target/bundle.mjs'), format: 'esm', codeSplitting: false, minify: false },
  onLog(level, log, next) {
    if (log.code === 'UNRESOLVED_IMPORT') throw new Error(`${log.message}\nInstall it beside the handler (npm install).`);
    if (level === 'warn' && log.code === 'EVAL') return;
    next(level, log);
  },
};
