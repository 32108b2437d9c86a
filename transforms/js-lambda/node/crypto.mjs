// Node's `crypto`, the part that handlers use: hashes, HMACs, random values.
import { hmac } from '@noble/hashes/hmac.js';
import { md5, sha1 } from '@noble/hashes/legacy.js';
import { sha224, sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
import { fill, random, uuid } from '../random.mjs';
import { Buffer } from './buffer.mjs';
import { refuse } from './refuse.mjs';

const hashes = { md5, sha1, sha224, sha256, sha384, sha512 };

function hashOf(algorithm) {
  return hashes[String(algorithm).toLowerCase().replace('-', '')] ?? refuse(`crypto with ${algorithm}`, `there are ${Object.keys(hashes).join(', ')}`);
}

class Digest {
  constructor(state) {
    this.state = state;
  }

  update(data, encoding) {
    this.state.update(typeof data === 'string' ? Buffer.from(data, encoding) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return this;
  }

  digest(encoding) {
    const bytes = Buffer.from(this.state.digest());
    return encoding && encoding !== 'buffer' ? bytes.toString(encoding) : bytes;
  }
}

export const createHash = (algorithm) => new Digest(hashOf(algorithm).create());
export const createHmac = (algorithm, key) => new Digest(hmac.create(hashOf(algorithm), Uint8Array.from(Buffer.from(key))));
export const getHashes = () => Object.keys(hashes);
export const getRandomValues = fill, randomUUID = uuid;
export const randomFillSync = fill;

export function randomBytes(size, callback) {
  const bytes = fill(Buffer.alloc(size));
  if (!callback) return bytes;
  queueMicrotask(() => callback(null, bytes));
}

export function randomInt(first, upto, callback) {
  if (typeof upto !== 'number') [first, upto, callback] = [0, first, upto];
  const value = first + Math.floor(random() * (upto - first));
  if (!callback) return value;
  queueMicrotask(() => callback(null, value));
}

export function timingSafeEqual(a, b) {
  if (a.length !== b.length) throw new RangeError('Input buffers must have the same byte length');
  return a.every((byte, n) => byte === b[n]);
}

export const webcrypto = globalThis.crypto;
export default { createHash, createHmac, getHashes, getRandomValues, randomBytes, randomFillSync, randomInt, randomUUID, timingSafeEqual, webcrypto };
