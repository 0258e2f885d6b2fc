/**
 * The text of a file that a person names: UTF-8, or UTF-16 with its byte order mark, which is what PowerShell's `>` writes. What
 * does not end, such as a device, is given up before it fills the memory.
 */
import { closeSync, openSync, readSync } from "node:fs"

/** The most bytes that are read: a configuration of a million entities has some 100 MB. */
const mostBytes = 256 * 1024 * 1024

const chunkSize = 1024 * 1024

/** Reads a file; it throws an Error that says why it cannot. @category constructors */
export const read = (path: string): string => textOf(bytesOf(path))

const bytesOf = (path: string): Buffer => {
  const file = openSync(path, "r")
  try {
    const chunks: Array<Buffer> = []
    for (let size = 0; size <= mostBytes;) {
      const chunk = Buffer.allocUnsafe(chunkSize)
      const length = readSync(file, chunk)
      if (length === 0) return Buffer.concat(chunks)
      chunks.push(chunk.subarray(0, length))
      size += length
    }
  } finally {
    closeSync(file)
  }
  throw new Error(`it has more than ${mostBytes / (1024 * 1024)} MiB`)
}

const textOf = (bytes: Buffer): string => {
  const mark = bytes.subarray(0, 2).toString("hex")
  const encoding = mark === "fffe" ? "utf-16le" : mark === "feff" ? "utf-16be" : "utf-8"
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new Error("it is no text of UTF-8, nor of UTF-16 with a byte order mark", { cause })
  }
}
