/**
 * Bytes on memory of their own. What is read from a socket is a view of all that came with it, and small buffers of Node are
 * views of a pool: either way a few bytes that are kept would keep up to 64 KB with them.
 *
 * A file of its own because sessions join transfers with it, and messages, states and tags that are kept are copied with it.
 */

/** A copy of just these bytes. */
export const ownBytes = (bytes: Uint8Array): Buffer => {
  const own = Buffer.allocUnsafeSlow(bytes.length)
  own.set(bytes)
  return own
}

/** Parts of fewer bytes are joined while more are to come: a peer may send a message byte by byte, and stop before its end. */
const small = 16_384

/** Adds a part of a delivery; `more` are to come. */
export const addPart = (parts: Array<Buffer>, part: Buffer, more: boolean): void => {
  if (part.length === 0) return
  if (!more || part.length >= small) {
    parts.push(part)
    return
  }
  let own = ownBytes(part)
  // The smaller with the smaller: no byte is copied more often than the logarithm of their number.
  for (let last = parts.at(-1); last !== undefined && last.length <= own.length; last = parts.at(-1)) {
    if (last.length + own.length > small) break
    parts.pop()
    own = joined([last, own])
  }
  parts.push(own)
}

/** The parts of a delivery as one. */
export const joined = (parts: ReadonlyArray<Buffer>): Buffer => {
  const whole = Buffer.allocUnsafeSlow(parts.reduce((total, { length }) => total + length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
