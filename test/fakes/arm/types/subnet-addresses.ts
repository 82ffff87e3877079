/** IPv4 prefixes: whether one lies in another, and whether two overlap. */

interface Prefix {
  readonly base: number;
  readonly length: number;
}

function parse(prefix: string): Prefix | undefined {
  const match = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)$/.exec(prefix);
  if (match === null) return undefined;
  const [a = 0, b = 0, c = 0, d = 0, length = 0] = match.slice(1).map(Number);
  return { base: ((a * 256 + b) * 256 + c) * 256 + d, length };
}

function covers(outer: Prefix, inner: Prefix): boolean {
  const size = 2 ** (32 - outer.length);
  return inner.length >= outer.length && Math.floor(inner.base / size) === Math.floor(outer.base / size);
}

/** Prefixes that are not IPv4 are taken to be in order. */
export function isInside(prefix: string, space: readonly string[]): boolean {
  const inner = parse(prefix);
  return (
    inner === undefined ||
    space.some((outer) => {
      const parsed = parse(outer);
      return parsed !== undefined && covers(parsed, inner);
    })
  );
}

export function overlap(left: string, right: string): boolean {
  const [a, b] = [parse(left), parse(right)];
  return a !== undefined && b !== undefined && (covers(a, b) || covers(b, a));
}

/** The length of a prefix, such as 28; undefined for what is not IPv4. */
export function prefixLength(prefix: string): number | undefined {
  return parse(prefix)?.length;
}
