// Chance, from the seed of the call: xoshiro128**.
const state = new Uint32Array(4);
const rotate = (x, k) => (x << k) | (x >>> (32 - k));

export function seedRandom(seed) {
  // splitmix64 spreads the seed.
  let x = BigInt(seed);
  const next = () => {
    x = BigInt.asUintN(64, x + 0x9e3779b97f4a7c15n);
    let z = x;
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    return z ^ (z >> 31n);
  };
  for (const half of [0, 2]) {
    const word = next();
    state[half] = Number(word & 0xffffffffn);
    state[half + 1] = Number(word >> 32n);
  }
}

function u32() {
  const result = Math.imul(rotate(Math.imul(state[1], 5), 7), 9) >>> 0;
  const t = state[1] << 9;
  state[2] ^= state[0];
  state[3] ^= state[1];
  state[1] ^= state[2];
  state[0] ^= state[3];
  state[2] ^= t;
  state[3] = rotate(state[3], 11);
  return result;
}

/** In [0, 1), with 53 bits. */
export const random = () => ((u32() >>> 5) * 67108864 + (u32() >>> 6)) / 9007199254740992;

export function fill(view) {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  for (let n = 0; n < bytes.length; n++) bytes[n] = u32() >>> 24;
  return view;
}

export function uuid() {
  const bytes = fill(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return bytes.toHex().replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
