/**
 * The time to live of a message, on the wire. The header's ttl is a uint of milliseconds, which ends after 49.7 days; beyond
 * that the truth is creation-time and absolute-expiry-time. The official SDKs write both with every time to live, and the
 * service takes the difference of the pair where both are there (.NET's and JavaScript's message converters; live tests of
 * the JavaScript SDK).
 *
 * A file of its own because encoders, received messages and copies must agree on it.
 */

/** The clock by which a message is written. */
export interface Now {
  readonly currentTimeMillisUnsafe: () => number
}

/** The most that the header's ttl holds, in milliseconds: the largest uint. */
export const longestTtl = 4294967295

/** The latest absolute-expiry-time that the SDKs write, 9999-12-31T07:59:59Z: from there on it means never. */
export const latestExpiry = 253402243199000

/** `TimeSpan.MaxValue` of .NET in milliseconds: a time to live as long means none, and is not written. */
export const endless = 922337203685477

/** The pair of times of a time to live; they are milliseconds by the wall clock. */
export interface Pair {
  readonly creation: number
  readonly expiry: number
}

/** The pair of a time to live in whole milliseconds. */
export const pairOf = (timeToLive: number, creation: number): Pair => {
  const from = Math.floor(creation)
  return { creation: from, expiry: Math.min(from + timeToLive, latestExpiry) }
}

/** The time to live of a pair in milliseconds, Infinity where it never ends; undefined where there is no such pair. */
export const ofPair = (creation: number | undefined, expiry: number | undefined): number | undefined => {
  if (creation === undefined || expiry === undefined || !(expiry >= creation)) return undefined
  return expiry >= latestExpiry ? Infinity : expiry - creation
}
