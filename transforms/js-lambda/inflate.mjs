// DEFLATE (RFC 1951), zlib (RFC 1950) and gzip (RFC 1952) decoding with their checks; error texts are zlib's.

const LENGTH_BASE = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
const LENGTH_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_BASE = [1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577];
const DISTANCE_BITS = [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];
const CODE_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const LONGEST_CODE = 15;

const ERRORS = { Z_DATA_ERROR: -3, Z_BUF_ERROR: -5 };

function fail(message, code = 'Z_DATA_ERROR') {
  throw Object.assign(new Error(message), { code, errno: ERRORS[code] });
}

/**
 * A table from the next bits to `code length | symbol << 4`; a word of 0 is no code. Without completeness, as zlib does, only
 * a single distance code or none may leave codes unused.
 */
function table(lengths, what, mayBeIncomplete) {
  const counts = new Uint16Array(LONGEST_CODE + 1);
  let longest = 0;
  for (const length of lengths) {
    counts[length]++;
    if (length > longest) longest = length;
  }
  counts[0] = 0;
  let left = 1;
  for (let length = 1; length <= LONGEST_CODE; length++) {
    left = (left << 1) - counts[length];
    if (left < 0) fail(`invalid ${what} set`);
  }
  if (left > 0 && longest > 0 && (!mayBeIncomplete || longest !== 1)) fail(`invalid ${what} set`);
  const bits = longest || 1;
  const next = new Uint16Array(LONGEST_CODE + 2);
  for (let length = 1; length <= LONGEST_CODE; length++) next[length + 1] = (next[length] + counts[length]) << 1;
  const entries = new Uint16Array(1 << bits);
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    const length = lengths[symbol];
    if (!length) continue;
    let code = next[length]++;
    let reversed = 0;
    for (let n = 0; n < length; n++, code >>= 1) reversed = (reversed << 1) | (code & 1);
    for (let at = reversed; at < entries.length; at += 1 << length) entries[at] = length | (symbol << 4);
  }
  return { entries, mask: (1 << bits) - 1 };
}

let fixed;
function fixedTables() {
  if (!fixed) {
    const lengths = new Uint8Array(288).fill(8, 0, 144).fill(9, 144, 256).fill(7, 256, 280).fill(8, 280);
    fixed = [table(lengths, 'literal/lengths'), table(new Uint8Array(32).fill(5), 'distances')];
  }
  return fixed;
}

/** Decodes one DEFLATE stream of `input` from `at`; appends to `sink`; returns where it ends. */
function inflateInto(sink, input, at) {
  const start = sink.length;
  let hold = 0;
  let held = 0;
  const need = (bits) => {
    while (held < bits) {
      if (at >= input.length) fail('unexpected end of file', 'Z_BUF_ERROR');
      hold |= input[at++] << held;
      held += 8;
    }
    const value = hold & ((1 << bits) - 1);
    hold >>>= bits;
    held -= bits;
    return value;
  };
  const symbol = ({ entries, mask }, what) => {
    // At most 22 bits are held here, so 8 more fit.
    while (held < LONGEST_CODE && at < input.length) {
      hold |= input[at++] << held;
      held += 8;
    }
    const entry = entries[hold & mask];
    const length = entry & 15;
    if (length > held) fail('unexpected end of file', 'Z_BUF_ERROR');
    if (length === 0) fail(held < LONGEST_CODE && at >= input.length ? 'unexpected end of file' : `invalid ${what} code`, held < LONGEST_CODE && at >= input.length ? 'Z_BUF_ERROR' : 'Z_DATA_ERROR');
    hold >>>= length;
    held -= length;
    return entry >> 4;
  };
  for (let last = 0; !last; ) {
    last = need(1);
    const kind = need(2);
    if (kind === 3) fail('invalid block type');
    if (kind === 0) {
      // Whole bytes that are held go back.
      at -= held >> 3;
      hold = held = 0;
      if (at + 4 > input.length) fail('unexpected end of file', 'Z_BUF_ERROR');
      const length = input[at] | (input[at + 1] << 8);
      if ((length ^ 0xffff) !== (input[at + 2] | (input[at + 3] << 8))) fail('invalid stored block lengths');
      at += 4;
      if (at + length > input.length) fail('unexpected end of file', 'Z_BUF_ERROR');
      sink.append(input.subarray(at, at + length));
      at += length;
      continue;
    }
    const [literals, distances] = kind === 1 ? fixedTables() : dynamicTables(need, symbol);
    let { bytes, length } = sink;
    for (;;) {
      const code = symbol(literals, 'literal/length');
      if (code < 256) {
        if (length === bytes.length) bytes = sink.grow(length, 1);
        bytes[length++] = code;
        continue;
      }
      if (code === 256) break;
      if (code > 285) fail('invalid literal/length code');
      const copy = LENGTH_BASE[code - 257] + need(LENGTH_BITS[code - 257]);
      const far = symbol(distances, 'distance');
      if (far > 29) fail('invalid distance code');
      const distance = DISTANCE_BASE[far] + need(DISTANCE_BITS[far]);
      if (distance > length - start) fail('invalid distance too far back');
      if (length + copy > bytes.length) bytes = sink.grow(length, copy);
      if (distance >= copy) {
        bytes.copyWithin(length, length - distance, length - distance + copy);
        length += copy;
      } else {
        for (const end = length + copy; length < end; length++) bytes[length] = bytes[length - distance];
      }
    }
    sink.length = length;
  }
  return at - (held >> 3);
}

function dynamicTables(need, symbol) {
  const literals = need(5) + 257;
  const distances = need(5) + 1;
  const codes = need(4) + 4;
  if (literals > 286 || distances > 30) fail('too many length or distance symbols');
  const codeLengths = new Uint8Array(19);
  for (let n = 0; n < codes; n++) codeLengths[CODE_ORDER[n]] = need(3);
  const codeTable = table(codeLengths, 'code lengths');
  const lengths = new Uint8Array(literals + distances);
  for (let n = 0; n < lengths.length; ) {
    const code = symbol(codeTable, 'code lengths');
    if (code < 16) {
      lengths[n++] = code;
      continue;
    }
    if (code === 16 && n === 0) fail('invalid bit length repeat');
    const repeat = code === 16 ? 3 + need(2) : code === 17 ? 3 + need(3) : 11 + need(7);
    if (n + repeat > lengths.length) fail('invalid bit length repeat');
    lengths.fill(code === 16 ? lengths[n - 1] : 0, n, (n += repeat));
  }
  if (lengths[256] === 0) fail('invalid code -- missing end-of-block');
  return [table(lengths.subarray(0, literals), 'literal/lengths', true), table(lengths.subarray(literals), 'distances', true)];
}

/** Bytes that grow up to `most`. */
class Sink {
  constructor(guess, most) {
    this.bytes = new Uint8Array(Math.max(64, Math.min(guess, most)));
    this.length = 0;
    this.most = most;
  }

  grow(length, more) {
    this.length = length;
    const bytes = new Uint8Array(Math.max(2 * this.bytes.length, length + more));
    bytes.set(this.bytes.subarray(0, length));
    this.bytes = bytes;
    this.check(length);
    return bytes;
  }

  check(length) {
    if (length > this.most) throw Object.assign(new RangeError(`Cannot create a Buffer larger than ${this.most} bytes`), { code: 'ERR_BUFFER_TOO_LARGE' });
  }

  append(part) {
    if (this.length + part.length > this.bytes.length) this.grow(this.length, part.length);
    this.bytes.set(part, this.length);
    this.length += part.length;
  }

  finish() {
    this.check(this.length);
    return this.bytes.slice(0, this.length);
  }
}

let crcTable;
function crc32(bytes) {
  crcTable ??= Uint32Array.from({ length: 256 }, (_, n) => {
    for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
    return n;
  });
  let crc = ~0;
  for (let n = 0; n < bytes.length; n++) crc = crcTable[(crc ^ bytes[n]) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

function adler32(bytes) {
  let a = 1;
  let b = 0;
  for (let n = 0; n < bytes.length; ) {
    // As many as fit 32 bits between two divisions.
    for (const end = Math.min(n + 3800, bytes.length); n < end; n++) b += a += bytes[n];
    a %= 65521;
    b %= 65521;
  }
  return ((b << 16) | a) >>> 0;
}

const little = (bytes, at) => (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
const guess = (input) => 4 * input.length + 64;

export function inflateRaw(input, most = Infinity) {
  const sink = new Sink(guess(input), most);
  inflateInto(sink, input, 0);
  return sink.finish();
}

export function inflateZlib(input, most = Infinity) {
  if (input.length < 2) fail('unexpected end of file', 'Z_BUF_ERROR');
  if (((input[0] << 8) | input[1]) % 31 !== 0) fail('incorrect header check');
  if ((input[0] & 15) !== 8) fail('unknown compression method');
  if (input[0] >> 4 > 7) fail('invalid window size');
  if (input[1] & 32) throw Object.assign(new Error('Missing dictionary'), { code: 'Z_NEED_DICT', errno: 2 });
  const sink = new Sink(guess(input), most);
  const at = inflateInto(sink, input, 2);
  if (at + 4 > input.length) fail('unexpected end of file', 'Z_BUF_ERROR');
  const wanted = ((input[at] << 24) | (input[at + 1] << 16) | (input[at + 2] << 8) | input[at + 3]) >>> 0;
  if (adler32(sink.bytes.subarray(0, sink.length)) !== wanted) fail('incorrect data check');
  return sink.finish();
}

/** Gzip: one member after the other; what follows the last one is ignored if it begins with a zero, as Node does. */
export function inflateMembers(input, most = Infinity) {
  const sink = new Sink(guess(input), most);
  let at = 0;
  do {
    at = header(input, at);
    const from = sink.length;
    at = inflateInto(sink, input, at);
    const member = sink.bytes.subarray(from, sink.length);
    if (at + 4 > input.length) fail('unexpected end of file', 'Z_BUF_ERROR');
    if (crc32(member) !== little(input, at)) fail('incorrect data check');
    if (at + 8 > input.length) fail('unexpected end of file', 'Z_BUF_ERROR');
    if (member.length >>> 0 !== little(input, at + 4)) fail('incorrect length check');
    at += 8;
  } while (input[at]);
  return sink.finish();
}

function header(input, at) {
  const there = (size) => at + size <= input.length || fail('unexpected end of file', 'Z_BUF_ERROR');
  there(2);
  if (input[at] !== 0x1f || input[at + 1] !== 0x8b) fail('incorrect header check');
  there(10);
  if (input[at + 2] !== 8) fail('unknown compression method');
  const start = at;
  const flags = input[at + 3];
  if (flags & 0xe0) fail('unknown header flags set');
  at += 10;
  if (flags & 4) {
    there(2);
    at += 2 + (input[at] | (input[at + 1] << 8));
  }
  // Name, then comment, each up to a zero.
  for (const flag of [8, 16]) {
    if (!(flags & flag)) continue;
    at = input.indexOf(0, at) + 1 || fail('unexpected end of file', 'Z_BUF_ERROR');
  }
  there(flags & 2 ? 2 : 0);
  if (flags & 2) {
    if ((crc32(input.subarray(start, at)) & 0xffff) !== (input[at] | (input[at + 1] << 8))) fail('header crc mismatch');
    at += 2;
  }
  return at;
}
