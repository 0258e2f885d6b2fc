/** Numbers that a seed determines. */

/** A linear congruential generator: the same run every time. */
export const generator = (seed: number) => (n: number) => {
  seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff
  return seed % n
}
