/** What is in a file of a broker's data, and what is not, or not any more. */
import { Context, Effect, Layer, Redacted } from "effect"
import { ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { DatabaseSync } from "node:sqlite"
import * as DataFile from "../../support/dataFile.ts"
import { inMemory, TextBytes } from "../../support/harness.ts"
import { assert, describe, it } from "../../support/vitest.ts"

/** Whether a text is in a file or in the log beside it. */
const has = (file: string, text: string): boolean =>
  ["", "-wal"].some((end) => fs.existsSync(file + end) && fs.readFileSync(file + end).includes(text))

describe("a file of a broker's data", () => {
  it.effect("has the key that the broker made, and no key that it was given", () =>
    Effect.gen(function*() {
      const given = "a key that is given to it and to nobody else"
      const data = yield* DataFile.file
      yield* Effect.scoped(Effect.gen(function*() {
        const emulator = Context.get(
          yield* Layer.build(inMemory({ data, key: Redacted.make(given), entities: [Emulator.entity("orders")] })),
          Emulator.Emulator
        )
        yield* emulator.send("orders", [{ body: Buffer.from("x") }])
        yield* emulator.idle
        assert.isTrue(has(data, "orders"))
        assert.isFalse(has(data, given))
      }))
      assert.isFalse(has(data, given))
      const own = yield* DataFile.file
      const { connectionString } = Context.get(
        yield* Layer.build(inMemory({ data: own, entities: [] })),
        Emulator.Emulator
      )
      const key = /SharedAccessKey=([^;]+)/.exec(Redacted.value(connectionString))![1]!
      assert.isTrue(has(own, key))
    }))

  it.effect("has nothing of a namespace that was removed", () =>
    Effect.gen(function*() {
      const data = yield* DataFile.file
      yield* Effect.scoped(Effect.gen(function*() {
        const emulator = Context.get(
          yield* Layer.build(inMemory({ data, entities: [Emulator.entity("orders")] })),
          Emulator.Emulator
        )
        const second = yield* emulator.createNamespace({ name: "second", entities: [Emulator.entity("others")] })
        yield* second.send("others", [{ body: Buffer.from("x") }])
        yield* emulator.send("orders", [{ body: Buffer.from("x") }])
        yield* emulator.idle
        yield* emulator.removeNamespace("second")
      }))
      const database = new DatabaseSync(data)
      const counts = ["namespace", "entity", "message", "payload"].map((table) =>
        database.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.["n"]
      )
      database.close()
      assert.deepStrictEqual(counts, [1, 1, 1, 1])
    }))

  it.effect("does not grow under traffic that goes on", () =>
    Effect.gen(function*() {
      const data = yield* DataFile.file
      const sizes = yield* Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(TextBytes)
        const receiver = yield* ServiceBusReceiver.make(TextBytes)
        const sizes: Array<number> = []
        for (let i = 0; i < 60; i++) {
          yield* sender.sendAll(Array.from({ length: 30 }, () => ({ body: new Uint8Array(10_000) })))
          yield* receiver.completeAll(yield* receiver.receive({ max: 30 }))
          sizes.push(fs.statSync(data).size + fs.statSync(`${data}-wal`).size)
        }
        return sizes
      }).pipe(Effect.scoped, Effect.provide(inMemory({ data, entities: [Emulator.entity(TextBytes)] })))
      // 18 MB went through it.
      assert.isBelow(Math.max(...sizes), 8_000_000)
      assert.isAtMost(Math.max(...sizes.slice(30)), Math.max(...sizes.slice(0, 30)) + 500_000)
    }), 60_000)

  it.effect("is refused to another process", () =>
    Effect.gen(function*() {
      const data = yield* DataFile.file
      yield* Layer.build(inMemory({ data, entities: [] }))
      const { status, stderr } = spawnSync(
        process.execPath,
        ["src/emulator/cli.ts", "emulator", "--port", "0", "--data", data],
        { cwd: process.cwd(), encoding: "utf8" }
      )
      assert.notStrictEqual(status, 0)
      assert.include(stderr, "is in use by another process, and one has it at a time")
    }), 60_000)
})
