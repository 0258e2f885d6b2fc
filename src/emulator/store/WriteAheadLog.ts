/**
 * The write-ahead log beside a file of data, as its frames say (SQLite, "Database File Format", 4).
 *
 * SQLite reads it up to the last commit before the first frame whose sum is wrong, and forgets the rest without a word: that is
 * how it takes what a process was killed in the midst of writing, and what a loss of power has left. Pages that wait for no disk
 * reach it in any order, so that frames may follow one that never came. What was written back to the file before had reached the
 * disk: where that is not what was written, the log is damaged, and SQLite would mix pages of two moments.
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

/** What is found of a log. */
export interface Finding {
  /** Why it cannot be taken. */
  readonly problem?: string
  /** What was committed and is not taken, in words. */
  readonly lost?: string
  /** Whether it has frames that are not taken: where others are written in the place of some, the rest would be a riddle. */
  readonly hasRest: boolean
}

const problem = (words: string): Finding => ({ problem: words, hasRest: true })

/**
 * What there is to say of the log of a file. Where each commit has waited for the disk (`isFull`), a loss of power leaves
 * whole what came before the last one.
 */
export const look = (file: string, isFull: boolean): Finding => {
  const size = fs.statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0
  if (size === 0) return { hasRest: false }
  const data = fs.openSync(file, "r")
  try {
    const log = fs.openSync(`${file}-wal`, "r")
    try {
      return findingOf(log, size, data, isFull)
    } finally {
      fs.closeSync(log)
    }
  } finally {
    fs.closeSync(data)
  }
}

const findingOf = (log: number, size: number, data: number, isFull: boolean): Finding => {
  const header = Buffer.alloc(headerSize)
  const isShort = fs.readSync(log, header, 0, headerSize, 0) < headerSize
  if (isShort || size === headerSize && header.every((byte) => byte === 0)) {
    // The disk has the header before the first frame is written.
    return { hasRest: true, lost: "its log has no header, as after a loss of power: nothing of it is taken" }
  }
  const start = viewOf(header)
  const isLittle = (start.getUint32(0) & 1) === 0
  const sum: Sum = { a: 0, b: 0 }
  add(sum, start, 0, 24, isLittle)
  const pageSize = start.getUint32(8)
  // SQLite has the disk have it before the first frame: no loss of power takes it.
  if (
    (start.getUint32(0) & ~1) !== magic || start.getInt32(24) !== sum.a || start.getInt32(28) !== sum.b ||
    pageSize < 512 || pageSize > 65_536
  ) return problem("the header of its log is not what was written")
  const frameSize = frameHeaderSize + pageSize
  const frame = Buffer.alloc(frameSize)
  const view = viewOf(frame)
  const page = Buffer.alloc(pageSize)
  /** The first frame that SQLite does not read. */
  let end: number | undefined
  /** The frames that are whole since the last commit, and those of them that come after `end`. */
  let open = 0
  let after = 0
  /** Commits after `end`: how many, whether a frame comes after one, and whether the file has a page as it is here. */
  let commits = 0
  let isCommitBefore = false
  let isWrittenBack = false
  for (let index = 0, at = headerSize; at + frameSize <= size; index++, at += frameSize) {
    fs.readSync(log, frame, 0, frameSize, at)
    // What was there before the log began anew has other salts.
    const isOfThis = view.getUint32(8) === start.getUint32(16) && view.getUint32(12) === start.getUint32(20)
    add(sum, view, 0, 8, isLittle)
    add(sum, view, frameHeaderSize, frameSize, isLittle)
    const isWhole = isOfThis && view.getInt32(16) === sum.a && view.getInt32(20) === sum.b
    if (!isWhole) end ??= index
    else {
      const isCommit = view.getUint32(4) !== 0
      open = isCommit && end === undefined ? 0 : open + 1
      if (end !== undefined) {
        const number = view.getUint32(0)
        const length = number === 0 ? 0 : fs.readSync(data, page, 0, pageSize, (number - 1) * pageSize)
        if (length === pageSize && frame.subarray(frameHeaderSize).equals(page)) isWrittenBack = true
        if (commits > 0) isCommitBefore = true
        if (isCommit) commits += 1
        after += 1
      }
    }
    sum.a = view.getInt32(16)
    sum.b = view.getInt32(20)
  }
  // What was never committed is no loss.
  if (commits === 0) return { hasRest: open > 0 }
  if (isWrittenBack) return problem(`the frame ${end! + 1} of its log, which was written back, is not what was written`)
  if (isFull && isCommitBefore) {
    return problem(
      `the frame ${
        end! + 1
      } of its log is not what was written, and commits come after it; to go on with what was committed ` +
        `before it, as after a loss of power with synchronous "normal", open it with that once`
    )
  }
  return {
    hasRest: true,
    lost: `the frame ${end! + 1} of its log is not what was written, as after a loss of power: ` +
      `the ${after} that come after it are not taken, nor is what was committed with them`
  }
}
