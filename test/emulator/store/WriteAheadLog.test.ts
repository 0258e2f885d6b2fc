/** The log beside a file, as a loss of power leaves it, and as nothing but damage does. */
import { Context, Effect, Exit, Layer, Logger } from "effect"
import * as Emulator from "effect-service-bus/emulator"
import * as fs from "node:fs"
import { DatabaseSync } from "node:sqlite"
import * as DataFile from "../../support/dataFile.ts"
import { inMemory } from "../../support/harness.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const headerSize = 32
const frameSize = 24 + 4096

/** A file of a broker that was killed after three commits of one message each, with where each ends in its log. */
const killed = Effect.gen(function*() {
  const file = yield* DataFile.file
  const copy = yield* DataFile.file
  const ends: Array<number> = []
  yield* Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    for (const body of ["a", "b", "c"]) {
      yield* emulator.send("orders", [{ body: Buffer.from(body.repeat(6000)) }])
      yield* emulator.idle
      ends.push(fs.statSync(`${file}-wal`).size)
    }
    yield* DataFile.killed(file, copy)
  }).pipe(Effect.provide(inMemory({ data: file, entities: [Emulator.entity("orders")] })), Effect.scoped)
  return { copy, ends }
})

/** Opens a file, and returns how many messages it has and the warnings on the way, or why it is refused. */
const opened = (file: string, synchronous: "normal" | "full" = "normal") =>
  Effect.gen(function*() {
    const warnings: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => {
      if (logLevel === "Warn") warnings.push(String(message))
    })
    const exit = yield* Layer.build(inMemory({ data: { file, synchronous }, entities: [] })).pipe(
      Effect.flatMap((built) => Context.get(built, Emulator.Emulator).messages("orders")),
      Effect.scoped,
      Effect.provide(Logger.layer([logger])),
      Effect.exit
    )
    return { warnings, found: Exit.isSuccess(exit) ? exit.value.length : String(exit.cause) }
  })

/** Has a frame of a log be one that never reached the disk. */
const drop = (file: string, at: number): void => {
  const log = fs.readFileSync(`${file}-wal`)
  fs.writeFileSync(`${file}-wal`, log.fill(0, at, at + frameSize))
}

describe("the log beside a file", () => {
  it.effect("is taken up to the last commit before a frame that never reached the disk, which is told", () =>
    Effect.gen(function*() {
      const { copy, ends } = yield* killed
      // The first frame of the second commit: those after it came, and the third commit with them.
      drop(copy, ends[0]!)
      const { found, warnings } = yield* opened(copy)
      assert.strictEqual(found, 1)
      assert.match(warnings.join(), /the frame \d+ of its log is not what was written, as after a loss of power/)
      // It is told once.
      assert.deepStrictEqual(yield* opened(copy), { found: 1, warnings: [] })
    }))

  it.effect("is taken where the last commit alone has a gap, however commits are synchronised", () =>
    Effect.gen(function*() {
      const { copy, ends } = yield* killed
      drop(copy, ends[1]!)
      assert.strictEqual((yield* opened(copy, "full")).found, 2)
    }))

  it.effect("is refused where each commit has waited for the disk, and a gap is before the last one", () =>
    Effect.gen(function*() {
      const { copy, ends } = yield* killed
      drop(copy, ends[0]!)
      const before = DataFile.bytesOf(copy)
      assert.include((yield* opened(copy, "full")).found, "open it with that once")
      assert.deepStrictEqual(DataFile.bytesOf(copy), before)
      assert.strictEqual((yield* opened(copy)).found, 1)
    }))

  it.effect("is refused where it was written back and is not what it was: pages of two moments would mix", () =>
    Effect.gen(function*() {
      const { copy, ends } = yield* killed
      const whole = fs.readFileSync(`${copy}-wal`)
      // Written back, as before a kill that leaves the log.
      const database = new DatabaseSync(copy)
      database.exec("PRAGMA wal_checkpoint(TRUNCATE)")
      database.close()
      fs.writeFileSync(`${copy}-wal`, whole)
      drop(copy, ends[0]!)
      const before = DataFile.bytesOf(copy)
      assert.include((yield* opened(copy)).found, "which was written back, is not what was written")
      assert.deepStrictEqual(DataFile.bytesOf(copy), before)
    }))

  it.effect("has no loss in what was never committed, also where it was written over in part", () =>
    Effect.gen(function*() {
      const { copy, ends } = yield* killed
      // Killed in the midst of the third commit.
      const cut = headerSize + frameSize * ((ends[2]! - headerSize) / frameSize - 1)
      fs.truncateSync(`${copy}-wal`, cut)
      const again = yield* DataFile.file
      yield* Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send("orders", [{ body: Buffer.from("d") }])
        yield* emulator.idle
        yield* DataFile.killed(copy, again)
      }).pipe(Effect.provide(inMemory({ data: { file: copy }, entities: [] })), Effect.scoped)
      assert.deepStrictEqual(yield* opened(again, "full"), { found: 3, warnings: [] })
    }))

  it.effect("is that of the file itself where the file is given by a link", () =>
    Effect.gen(function*() {
      const { copy } = yield* killed
      drop(copy, 0)
      const link = yield* DataFile.file
      fs.symlinkSync(copy, link)
      assert.include((yield* opened(link)).found, "the header of its log is not what was written")
      const target = yield* DataFile.file
      const other = yield* DataFile.file
      fs.symlinkSync(target, other)
      yield* Effect.scoped(Layer.build(inMemory({ data: other, entities: [] })))
      assert.isTrue(fs.lstatSync(other).isSymbolicLink())
      assert.isTrue(fs.lstatSync(target).isFile())
    }))
})
