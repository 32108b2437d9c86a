// Node's `zlib` without streams: whole buffers, at once or with a callback.
import { deflateSync as rawDeflate, gzipSync as gzip, zlibSync as zlib } from 'fflate';
import { inflateRaw, inflateMembers, inflateZlib } from '../inflate.mjs';
import { Buffer } from './buffer.mjs';
import { promisify } from './util.mjs';

const bytesOf = (data) => {
  if (typeof data === 'string') return Buffer.from(data);
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  throw new TypeError('The "buffer" argument must be a string, a Buffer, TypedArray, DataView or ArrayBuffer.');
};
const level = (options) => ({ level: options?.level === undefined || options.level < 0 ? 6 : options.level });
// Decided by the magic number, as Node does.
const unzip = (data, most) => (data[0] === 0x1f && data[1] === 0x8b ? inflateMembers(data, most) : inflateZlib(data, most));
const decoding = (decode) => (data, options) => Buffer.from(decode(bytesOf(data), options?.maxOutputLength ?? Infinity).buffer);
const encoding = (encode) => (data, options) => Buffer.from(encode(bytesOf(data), options).buffer);

export const gunzipSync = decoding(inflateMembers);
export const inflateSync = decoding(inflateZlib);
export const inflateRawSync = decoding(inflateRaw);
export const unzipSync = decoding(unzip);
// No time stamp, as zlib does.
export const gzipSync = encoding((data, options) => gzip(data, { ...level(options), mtime: 0 }));
export const deflateSync = encoding((data, options) => zlib(data, level(options)));
export const deflateRawSync = encoding((data, options) => rawDeflate(data, level(options)));

const later = (now) => {
  const operation = (data, options, callback = options) => {
    let result, failure = null;
    try {
      result = now(data, typeof options === 'function' ? undefined : options);
    } catch (error) {
      failure = error;
    }
    queueMicrotask(() => callback(failure, result));
  };
  operation[promisify.custom] = async (data, options) => now(data, options);
  return operation;
};
export const gunzip = later(gunzipSync), inflate = later(inflateSync), inflateRawAsync = later(inflateRawSync), unzip_ = later(unzipSync);
export const gzip_ = later(gzipSync), deflate = later(deflateSync), deflateRaw = later(deflateRawSync);
export { gzip_ as gzip, inflateRawAsync as inflateRaw, unzip_ as unzip };

export const constants = {
  Z_NO_FLUSH: 0, Z_SYNC_FLUSH: 2, Z_FULL_FLUSH: 3, Z_FINISH: 4, Z_NO_COMPRESSION: 0, Z_BEST_SPEED: 1, Z_BEST_COMPRESSION: 9,
  Z_DEFAULT_COMPRESSION: -1, Z_DEFAULT_STRATEGY: 0, Z_DEFAULT_WINDOWBITS: 15,
};
export default {
  constants, deflate, deflateRaw, deflateRawSync, deflateSync, gunzip, gunzipSync, gzip: gzip_, gzipSync, inflate, inflateRaw: inflateRawAsync,
  inflateRawSync, inflateSync, unzip: unzip_, unzipSync,
};
