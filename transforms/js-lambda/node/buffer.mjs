// Node's Buffer: the npm package `buffer`, with what is hot done by the engine.
import { Buffer as Plain, INSPECT_MAX_BYTES, SlowBuffer, kMaxLength } from '../node_modules/buffer/index.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const name = (encoding) => (encoding === undefined || encoding === null ? 'utf8' : String(encoding).toLowerCase());
const wrap = (bytes) => Object.setPrototypeOf(bytes, Plain.prototype);

function decode(text, encoding) {
  switch (name(encoding)) {
    case 'utf8':
    case 'utf-8':
      return encoder.encode(text);
    case 'base64':
    case 'base64url':
      try {
        return Uint8Array.fromBase64(text);
      } catch {
        // Node takes both alphabets and skips what belongs to neither.
        return Plain.from(text.replaceAll('-', '+').replaceAll('_', '/'), 'base64');
      }
    default:
      return Plain.from(text, encoding);
  }
}

export function Buffer(value, encoding, length) {
  return typeof value === 'string' ? wrap(decode(value, encoding)) : Plain(value, encoding, length);
}
Object.setPrototypeOf(Buffer, Plain);
Buffer.prototype = Plain.prototype;
Buffer.prototype.constructor = Buffer;
Buffer.from = (value, encoding, length) =>
  typeof value === 'string' ? wrap(decode(value, encoding)) : Plain.from(value, encoding, length);
Buffer.isEncoding = (encoding) => name(encoding) === 'base64url' || Plain.isEncoding(encoding);
Buffer.byteLength = (value, encoding) =>
  typeof value === 'string' && /^(utf-?8|base64(url)?)$/.test(name(encoding)) ? decode(value, encoding).length : Plain.byteLength(value, encoding);

const plainToString = Plain.prototype.toString;
Buffer.prototype.toString = function (encoding, start, end) {
  const part = start === undefined && end === undefined ? this : this.subarray(start, end);
  switch (name(encoding)) {
    case 'utf8':
    case 'utf-8':
      return decoder.decode(part);
    case 'base64':
      return Uint8Array.prototype.toBase64.call(part);
    case 'base64url':
      return Uint8Array.prototype.toBase64.call(part, { alphabet: 'base64url', omitPadding: true });
    case 'hex':
      return Uint8Array.prototype.toHex.call(part);
    default:
      return plainToString.call(this, encoding, start, end);
  }
};
const plainWrite = Plain.prototype.write;
Buffer.prototype.write = function (text, ...rest) {
  const encoding = rest.find((value) => typeof value === 'string');
  return plainWrite.call(this, text, ...rest.map((value) => (name(encoding) === 'base64url' && value === encoding ? 'base64' : value)));
};

const { atob, btoa, Blob } = globalThis;
export { INSPECT_MAX_BYTES, SlowBuffer, kMaxLength, atob, btoa, Blob };
export const constants = { MAX_LENGTH: kMaxLength, MAX_STRING_LENGTH: 0x3fffffff };
export default { Buffer, INSPECT_MAX_BYTES, SlowBuffer, kMaxLength, constants, atob, btoa, Blob };
