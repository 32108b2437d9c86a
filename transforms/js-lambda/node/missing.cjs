// Stands for a module that a transform cannot have. It can be imported, and clients of it made; a call fails.
const { refuse } = require('./refuse.mjs');

const network = /^(aws|@aws|@smithy|https?2?$|net$|tls$|dgram$|dns)/;
/** Calls at the head of a module that do nothing of interest here. */
const harmless = new Set(['config.update', 'captureAWS', 'captureAWSv3Client']);

module.exports = (module) => {
  const why = network.test(module) ? 'it has no network' : 'it is not part of the adapter';
  const stub = (name) =>
    new Proxy(function () {}, {
      get(target, key) {
        if (key === 'prototype') return target.prototype;
        if (typeof key === 'symbol' || key === 'then' || key === '__esModule') return undefined;
        if (key === 'default') return stub(name);
        return stub(name ? `${name}.${key}` : key);
      },
      construct: () => stub(name),
      apply(_, __, values) {
        if (harmless.has(name)) return values[0];
        return refuse(name ? `${name} of ${module}` : module, why);
      },
    });
  return stub('');
};
