// The one text for what a transform cannot do.
export function refuse(what, why) {
  throw new Error(`${what} is not available in a transform: ${why}`);
}
