/**
 * Checks the structure of AMQP values without building them: bounds, counts, depth, constructors. What passes can be
 * decoded later, when it is first read. Iterative, so that no input can overflow the stack.
 */

/** The writer's 32 levels and the map or list that they stand in. */
const maxDepth = 34
const maxZeroWidth = 65536

/** How many array items without a width were skipped in one message, the last value included. */
export let zeroWidth = 0

const counts = new Uint32Array(maxDepth + 1)
const ends = new Uint32Array(maxDepth + 1)
/** The constructor that all items of an array share, or -1 outside of arrays. */
const shared = new Int16Array(maxDepth + 1)

/** The position after a descriptor (a ulong or a symbol), or -1. */
const afterDescriptor = (bytes: Buffer, at: number, end: number): number => {
  if (at >= end) return -1
  let next: number
  switch (bytes[at]) {
    case 0x44:
      next = at + 1
      break
    case 0x53:
      next = at + 2
      break
    case 0x80:
      next = at + 9
      break
    case 0xa3:
      if (at + 1 >= end) return -1
      next = at + 2 + bytes[at + 1]!
      break
    case 0xb3:
      if (at + 5 > end) return -1
      next = at + 5 + bytes.readUInt32BE(at + 1)
      break
    default:
      return -1
  }
  return next < end ? next : -1
}

const width = (code: number): number => {
  switch (code) {
    case 0x40:
    case 0x41:
    case 0x42:
    case 0x43:
    case 0x44:
    case 0x45:
      return 0
    case 0x50:
    case 0x51:
    case 0x52:
    case 0x53:
    case 0x54:
    case 0x55:
    case 0x56:
      return 1
    case 0x60:
    case 0x61:
      return 2
    case 0x70:
    case 0x71:
    case 0x72:
    case 0x73:
    case 0x74:
      return 4
    case 0x80:
    case 0x81:
    case 0x82:
    case 0x83:
    case 0x84:
      return 8
    case 0x94:
    case 0x98:
      return 16
    default:
      return -1
  }
}

/**
 * The position after the value that starts at `position`, or -1 where it is not well-formed within `end`. `zeroWidthBefore`
 * is how many were skipped in the same message before.
 */
export const skipValue = (bytes: Buffer, position: number, end: number, zeroWidthBefore = 0): number => {
  let p = position
  let depth = 0
  zeroWidth = zeroWidthBefore
  counts[0] = 1
  ends[0] = end
  shared[0] = -1
  for (;;) {
    while (counts[depth] === 0) {
      if (depth === 0) return p
      // AMQP 1.0 section 1.6.22: the size says where a compound ends, and it must end there.
      if (p !== ends[depth]) return -1
      depth--
    }
    const limit = ends[depth]!
    let code = shared[depth]!
    if (code === -1) {
      if (p >= limit) return -1
      code = bytes[p++]!
      if (code === 0x00) {
        p = afterDescriptor(bytes, p, limit)
        if (p < 0) return -1
        code = bytes[p++]!
      }
    }
    counts[depth]!--
    const high = code >>> 4
    if (high < 0xa) {
      const size = width(code)
      if (size < 0) return -1
      p += size
    } else if (high < 0xc) {
      if (code !== 0xa0 && code !== 0xa1 && code !== 0xa3 && code !== 0xb0 && code !== 0xb1 && code !== 0xb3) return -1
      if (high === 0xa) {
        if (p >= limit) return -1
        p += 1 + bytes[p]!
      } else {
        if (p + 4 > limit) return -1
        p += 4 + bytes.readUInt32BE(p)
      }
    } else {
      const kind = code & 0xf
      const isArray = high >= 0xe
      if (isArray ? kind !== 0 : kind > 1) return -1
      const wide = high === 0xd || high === 0xf ? 4 : 1
      if (p + 2 * wide > limit) return -1
      const size = wide === 4 ? bytes.readUInt32BE(p) : bytes[p]!
      const stop = p + wide + size
      const count = wide === 4 ? bytes.readUInt32BE(p + 4) : bytes[p + 1]!
      if (size < wide || stop > limit || depth + 1 >= maxDepth) return -1
      if (!isArray && kind === 1 && count % 2 === 1) return -1
      p += 2 * wide
      let item = -1
      if (isArray) {
        if (p >= stop) return -1
        item = bytes[p++]!
        if (item === 0x00) {
          p = afterDescriptor(bytes, p, stop)
          if (p < 0) return -1
          item = bytes[p++]!
          if (item === 0x00) return -1
        }
        if (item >>> 4 === 4) {
          zeroWidth += count
          if (zeroWidth > maxZeroWidth || width(item) < 0) return -1
          if (p !== stop) return -1
          continue
        }
      }
      if (count > size) return -1
      depth++
      counts[depth] = count
      ends[depth] = stop
      shared[depth] = item
    }
    if (p > limit) return -1
  }
}
