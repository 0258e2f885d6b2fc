/**
 * What the disk of a broker's data has room for. What grows is refused while there is still room for what makes some: for what is
 * settled, and for what is written back. The disk is asked once for all that one commit takes.
 */
import * as fs from "node:fs"
import { pageSize, roomOf, wordsOf } from "./DataFile.ts"

/** What must be left on the disk for anything that grows to be taken: what is settled, and what is written back, needs it. */
const reserve = 8 * 1024 * 1024

/** Below this much nothing is taken at all, in bytes. */
const leastRoom = 1024 * 1024

/** Above this size the log is looked at: SQLite writes it back at 4 MB, and it has grown if that failed. */
const longestLog = 6 * 1024 * 1024

/** How long until what could not be written is tried again, in milliseconds. */
export const pause = 1000

/** How a room is made. */
interface Options {
  /** The path of the file. */
  readonly path: string
  /** How many pages the file has free. */
  readonly freePages: () => number
  /** Writes the log back to the file. */
  readonly checkpoint: () => void
  /** The time in milliseconds. */
  readonly now: () => number
  /** Is told what went wrong. */
  readonly report: (words: string, cause?: unknown) => void
}

/** What was found when the disk was asked. */
interface Found {
  /** Bytes that the disk has left. */
  readonly onDisk: number
  readonly problem: string | undefined
}

/** The room of one file. */
export class DiskRoom {
  private readonly options: Options
  /** By which the file is known, whatever stands at its path. */
  private readonly identity: string | undefined
  /** Bytes that were taken since the last commit. */
  private taken = 0
  private found: Found | undefined
  /** Why the log is not written back, and when that was tried. */
  private unwritten: string | undefined
  private triedAt = -Infinity
  private isLost = false

  constructor(options: Options) {
    this.options = options
    this.identity = identityOf(options.path)
  }

  /** Why so many bytes more are not taken; undefined where they are. */
  refusal(bytes: number): string | undefined {
    const { onDisk, problem } = this.found ??= this.find()
    if (problem !== undefined) return this.refused(problem)
    // Once for the log, and once for where it is written back.
    const needed = 2 * (this.taken + bytes)
    if (onDisk - needed < reserve && this.inFile(onDisk) < needed) {
      return this.refused(
        `The disk of the broker's data has ${Math.floor(onDisk / 1024)} KiB left, which is too little`
      )
    }
    this.taken += bytes
    return undefined
  }

  /** What was taken is in the file, or nothing is known of it any more. */
  committed(): void {
    this.taken = 0
    this.found = undefined
  }

  /** It may be another room when this is asked again. */
  private refused(problem: string): string {
    this.found = undefined
    return problem
  }

  private find(): Found {
    try {
      return { onDisk: roomOf(this.options.path), problem: this.lostProblem() ?? this.logProblem() }
    } catch (cause) {
      // Its folder is gone. No peer is told which one it was.
      return {
        onDisk: 0,
        problem: this.lostProblem() ?? `The disk of the broker's data cannot be asked (${codeOf(cause)})`
      }
    }
  }

  /** What the file itself has free, since messages have gone: to use that again takes nothing of the disk. */
  private inFile(onDisk: number): number {
    return onDisk < leastRoom ? 0 : this.options.freePages() * pageSize - leastRoom
  }

  /** Where the file is not at its path any more, what is written goes with the process. */
  private lostProblem(): string | undefined {
    const isLost = identityOf(this.options.path) !== this.identity
    if (isLost && !this.isLost) {
      this.options.report(
        "The file of the broker's data was removed or replaced: what it holds goes with this process. Settle what is there, " +
          "or save it by a dump, and start again"
      )
    }
    this.isLost = isLost
    return isLost ? "The file of the broker's data was removed or replaced" : undefined
  }

  /** Why the log cannot be written back to the file; undefined where it can. */
  private logProblem(): string | undefined {
    const { checkpoint, now, path: file, report } = this.options
    const log = fs.statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0
    if (log <= longestLog) return undefined
    // As long as it fails it is not tried with each message.
    const at = now()
    if (this.unwritten !== undefined && at - this.triedAt < pause) return this.unwritten
    this.triedAt = at
    try {
      checkpoint()
      this.unwritten = undefined
    } catch (cause) {
      if (this.unwritten === undefined) report("The log of the broker's data cannot be written back", cause)
      this.unwritten = `The broker's data cannot grow (${wordsOf(cause)})`
    }
    return this.unwritten
  }
}

const identityOf = (file: string): string | undefined => {
  const stat = fs.statSync(file, { throwIfNoEntry: false })
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`
}

const codeOf = (cause: unknown): string =>
  typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : "unknown"
