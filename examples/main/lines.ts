/**
 * The lines of a file as a stream, each with its number. Memory is bounded whatever the file holds: of a line that is
 * longer than `maxLine` only the beginning is kept.
 */
import { ByteSize, Data, Effect, FileSystem, type PlatformError, Stream } from "effect"

export interface Line {
  /** 1 for the first. */
  readonly number: number
  readonly bytes: Uint8Array
  /** The bytes of the whole line in the file; more than `bytes` has where the line was cut. */
  readonly size: number
}

/** The most bytes of a line that are kept: four times what a message of the standard tier may have. */
export const maxLine = 1024 * 1024

/** A file that cannot be worked off. */
export class InputError extends Data.TaggedError("InputError")<{
  readonly file: string
  readonly problem: string
}> {
  override get message(): string {
    return `${this.file}: ${this.problem}`
  }
}

const problemOf = ({ reason }: PlatformError.PlatformError): string => {
  switch (reason._tag) {
    case "NotFound":
      return "there is no such file"
    case "PermissionDenied":
      return "it may not be read"
    default:
      return `it cannot be read (${reason._tag})`
  }
}

/** The size of a file that can be read twice: by the job, and by the check after it. */
export const sizeOf = Effect.fnUntraced(function*(file: string) {
  const fs = yield* FileSystem.FileSystem
  const { size, type } = yield* fs.stat(file).pipe(
    Effect.mapError((error) => new InputError({ file, problem: problemOf(error) }))
  )
  if (type !== "File") {
    return yield* new InputError({ file, problem: type === "Directory" ? "it is a directory" : "it is not a file" })
  }
  const bytes = ByteSize.toNumberUnsafe(size)
  if (bytes === 0) return yield* new InputError({ file, problem: "it is empty" })
  return bytes
})

/** The lines of a file. One read of the disk is one chunk of the stream. */
export const ofFile = (file: string): Stream.Stream<Line, InputError, FileSystem.FileSystem> =>
  Stream.unwrap(Effect.map(FileSystem.FileSystem, (fs) => split(fs.stream(file)))).pipe(
    Stream.mapError((error) => new InputError({ file, problem: problemOf(error) }))
  )

/** Splits bytes at line feeds. */
export const split = <E, R>(bytes: Stream.Stream<Uint8Array, E, R>): Stream.Stream<Line, E, R> =>
  Stream.mapAccum(bytes, () => new Splitter(), (splitter, chunk) => [splitter, splitter.push(chunk)], {
    onHalt: (splitter) => splitter.end()
  })

class Splitter {
  private number = 0
  private parts: Array<Uint8Array> = []
  private kept = 0
  private size = 0

  push(chunk: Uint8Array): Array<Line> {
    const lines: Array<Line> = []
    let start = 0
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      this.keep(chunk.subarray(start, end))
      lines.push(this.take())
      start = end + 1
    }
    this.keep(chunk.subarray(start))
    return lines
  }

  /** The last line need not end with a line feed. */
  end(): Array<Line> {
    return this.size > 0 ? [this.take()] : []
  }

  private keep(part: Uint8Array): void {
    this.size += part.length
    const left = Math.min(part.length, maxLine - this.kept)
    if (left <= 0) return
    this.parts.push(part.subarray(0, left))
    this.kept += left
  }

  private take(): Line {
    const { parts, size } = this
    this.parts = []
    this.kept = 0
    this.size = 0
    return { number: ++this.number, bytes: parts.length === 1 ? parts[0]! : Buffer.concat(parts), size }
  }
}
