/** Where there is no file of a broker's data yet, and where there is more or less than one. */
import { Context, Effect, Exit, Layer } from "effect"
import * as Emulator from "effect-service-bus/emulator"
import * as Result from "effect/Result"
import type * as FileSystem from "node:fs"
import { readdirSync, rmSync, writeFileSync } from "node:fs"
import { createRequire, syncBuiltinESMExports } from "node:module"
import { dirname } from "node:path"
import * as DataFile from "../../../src/emulator/store/DataFile.ts"
import * as Files from "../../support/dataFile.ts"
import { inMemory } from "../../support/harness.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const fs = createRequire(import.meta.url)("node:fs") as typeof FileSystem

/** Has something happen before each call of a function of the file system, as another process would have it. */
const before = (name: "linkSync" | "renameSync", happen: () => void) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const original = fs[name]
      fs[name] = (from: FileSystem.PathLike, to: FileSystem.PathLike) => {
        happen()
        original(from, to)
      }
      syncBuiltinESMExports()
      return original
    }),
    (original) =>
      Effect.sync(() => {
        fs[name] = original
        syncBuiltinESMExports()
      })
  )

describe("a file of a broker's data", () => {
  it.effect("is that of the process which was first, where two begin with one at once", () =>
    Effect.gen(function*() {
      const file = yield* Files.file
      const opened: Array<Result.Result<DataFile.DataFile, { readonly problem: string }>> = []
      let isOther = false
      const other = () => {
        if (isOther) return
        isOther = true
        opened.push(DataFile.open(file, false))
      }
      yield* before("linkSync", other)
      yield* before("renameSync", other)
      opened.push(DataFile.open(file, false))
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          for (const each of opened) if (Result.isSuccess(each)) each.success.database.close()
        })
      )
      const [first, second] = opened
      assert.isTrue(Result.isSuccess(first!))
      assert.isTrue(Result.isFailure(second!))
      if (Result.isFailure(second!)) assert.include(second.failure.problem, "is in use by another process")
      assert.deepStrictEqual(readdirSync(dirname(file)).filter((name) => name.endsWith(".new")), [])
    }))

  it.effect("is made in the place of an empty one, as mktemp makes it", () =>
    Effect.gen(function*() {
      const file = yield* Files.file
      writeFileSync(file, "")
      const opened = DataFile.open(file, false)
      assert.isTrue(Result.isSuccess(opened))
      if (Result.isSuccess(opened)) opened.success.database.close()
    }))

  it.effect("is not made beside the log of another one", () =>
    Effect.gen(function*() {
      const file = yield* Files.file
      const copy = yield* Files.file
      yield* Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send("old", [{ body: Buffer.from("old") }])
        yield* emulator.idle
        yield* Files.killed(file, copy)
      }).pipe(Effect.provide(inMemory({ data: file, entities: [Emulator.entity("old")] })))
      rmSync(copy)
      const log = Files.bytesOf(copy)
      const begun = yield* Effect.exit(
        Effect.scoped(Layer.build(inMemory({ data: copy, entities: [Emulator.entity("new")] })))
      )
      assert.include(Exit.isFailure(begun) ? String(begun.cause) : "", "but its log")
      assert.deepStrictEqual(Files.bytesOf(copy), log)
    }))

  it.effect("takes each number as it comes: what was -0 is 0", () =>
    Effect.gen(function*() {
      const file = yield* Files.file
      const open = Effect.map(
        Layer.build(inMemory({ data: file, entities: [Emulator.entity("orders")] })),
        (context) => Context.get(context, Emulator.Emulator)
      )
      yield* Effect.scoped(Effect.flatMap(open, (emulator) =>
        Effect.gen(function*() {
          yield* emulator.send("orders", [{ body: Buffer.from("x") }])
          const dump = yield* emulator.dump()
          yield* emulator.load(
            JSON.parse(JSON.stringify(dump).replaceAll("\"deliveryCount\":0", "\"deliveryCount\":-0"))
          )
        })))
      const [message] = yield* Effect.scoped(Effect.flatMap(open, (emulator) => emulator.messages("orders")))
      assert.strictEqual(message?.deliveryCount, 0)
    }))
})
