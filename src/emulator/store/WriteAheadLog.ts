/**
 * The write-ahead log beside a file of data, as its frames say (SQLite, "Database File Format", 4). SQLite reads it up to the
 * first frame whose sum is wrong and forgets the rest without a word: that is how it takes what a process was killed in the
 * midst of writing. What is damaged before its end is another thing: what was committed after that would be gone.
 */
import * as fs from "node:fs"

const headerSize = 32
const frameHeaderSize = 24

/** The last bit says in which order sums are written and read. */
const magic = 0x377f0682

/** A sum of two numbers that goes on from frame to frame. */
interface Sum {
  a: number
  b: number
}

const add = (sum: Sum, words: DataView, from: number, to: number, isLittle: boolean): void => {
  let { a, b } = sum
  for (let at = from; at < to; at += 8) {
    a = (a + words.getUint32(at, isLittle) + b) | 0
    b = (b + words.getUint32(at + 4, isLittle) + a) | 0
  }
  sum.a = a
  sum.b = b
}

const viewOf = ({ buffer, byteLength, byteOffset }: Buffer): DataView => new DataView(buffer, byteOffset, byteLength)

/** What is wrong with a log, as far as that is not its end; undefined where nothing is, or there is none. */
export const problemOf = (path: string): string | undefined => {
  const size = fs.statSync(path, { throwIfNoEntry: false })?.size ?? 0
  if (size === 0) return undefined
  const descriptor = fs.openSync(path, "r")
  try {
    return problemIn(descriptor, size)
  } finally {
    fs.closeSync(descriptor)
  }
}

const problemIn = (descriptor: number, size: number): string | undefined => {
  const header = Buffer.alloc(headerSize)
  if (fs.readSync(descriptor, header, 0, headerSize, 0) < headerSize) return "its log has no header"
  const start = viewOf(header)
  const isLittle = (start.getUint32(0) & 1) === 0
  const sum: Sum = { a: 0, b: 0 }
  add(sum, start, 0, 24, isLittle)
  const pageSize = start.getUint32(8)
  if (
    (start.getUint32(0) & ~1) !== magic || start.getInt32(24) !== sum.a || start.getInt32(28) !== sum.b ||
    pageSize < 512 || pageSize > 65_536
  ) return "the header of its log is not what was written"
  const frameSize = frameHeaderSize + pageSize
  const frame = Buffer.alloc(frameSize)
  const view = viewOf(frame)
  /** The first frame that SQLite does not read. */
  let end: number | undefined
  for (let index = 0, at = headerSize; at + frameSize <= size; index++, at += frameSize) {
    fs.readSync(descriptor, frame, 0, frameSize, at)
    // What was there before the log began anew has other salts.
    const isOfThis = view.getUint32(8) === start.getUint32(16) && view.getUint32(12) === start.getUint32(20)
    add(sum, view, 0, 8, isLittle)
    add(sum, view, frameHeaderSize, frameSize, isLittle)
    const isWhole = isOfThis && view.getInt32(16) === sum.a && view.getInt32(20) === sum.b
    if (!isWhole) end ??= index
    else if (end !== undefined) {
      return `the frame ${end + 1} of its log is not what was written, and others come after it`
    }
    sum.a = view.getInt32(16)
    sum.b = view.getInt32(20)
  }
  return undefined
}
