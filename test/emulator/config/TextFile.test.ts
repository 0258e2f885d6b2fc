/** Files that people name: in the encodings that their shells write, and those that are no text. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as TextFile from "../../../src/emulator/config/TextFile.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const text = "{\"Name\": \"Grüße 𝄞\"}"

const within = <A>(run: (folder: string) => A): A => {
  const folder = mkdtempSync(join(tmpdir(), "text-file-"))
  try {
    return run(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const written = (bytes: Buffer): string =>
  within((folder) => {
    const path = join(folder, "file")
    writeFileSync(path, bytes)
    return TextFile.read(path)
  })

describe("a file that is named", () => {
  it("is read in UTF-8 and, by its byte order mark, in UTF-16", () => {
    const little = Buffer.from(`\uFEFF${text}`, "utf16le")
    assert.strictEqual(written(Buffer.from(text)), text)
    assert.strictEqual(written(Buffer.from(`\uFEFF${text}`)), text)
    assert.strictEqual(written(little), text)
    assert.strictEqual(written(Buffer.from(little).swap16()), text)
    assert.strictEqual(written(Buffer.alloc(0)), "")
    assert.strictEqual(written(Buffer.alloc(3 * 1024 * 1024 + 1, "a")).length, 3 * 1024 * 1024 + 1)
  })

  it("is refused where it is no text, cannot be read, or does not end", () => {
    for (const bytes of [[0xff], [0x7b, 0xe4, 0x7d], [0xff, 0xfe, 0x7b], [0xff, 0xfe, 0x00, 0xd8]]) {
      assert.throws(() => written(Buffer.from(bytes)), "it is no text of UTF-8, nor of UTF-16")
    }
    assert.throws(() => within(TextFile.read), "EISDIR")
    assert.throws(() => within((folder) => TextFile.read(join(folder, "none"))), "ENOENT")
    // Where there is such a device.
    if (process.platform !== "win32") assert.throws(() => TextFile.read("/dev/zero"), "it has more than 256 MiB")
  })
})
