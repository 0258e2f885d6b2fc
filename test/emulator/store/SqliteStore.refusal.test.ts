/** What a file does not take is refused before anything of it is there. */
import { Context, Effect, Exit, Layer, Logger, Result } from "effect"
import { ServiceBusAdministration, ServiceBusReceiver } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { TestClock } from "effect/testing"
import type * as FileSystem from "node:fs"
import { createRequire, syncBuiltinESMExports } from "node:module"
import * as path from "node:path"
import { SqliteStore } from "../../../src/emulator/store/SqliteStore.ts"
import { ask } from "../../support/controlApi.ts"
import * as DataFile from "../../support/dataFile.ts"
import { inMemory, overTcp, Texts } from "../../support/harness.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const fs = createRequire(import.meta.url)("node:fs") as typeof FileSystem

/** Has the disk of all files have so many bytes left. */
const room = (bytes: number) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const { statfsSync } = fs
      fs.statfsSync = (() => ({ bavail: bytes / 1024, bsize: 1024 })) as unknown as typeof statfsSync
      syncBuiltinESMExports()
      return statfsSync
    }),
    (original) =>
      Effect.sync(() => {
        fs.statfsSync = original
        syncBuiltinESMExports()
      })
  )

const opened = (file: string) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      Result.getOrThrow(
        SqliteStore.open({
          file,
          isSynchronous: false,
          schedule: () => {},
          later: () => {},
          now: () => 0,
          report: () => {},
          warn: () => {}
        })
      )
    ),
    (store) =>
      Effect.sync(() => {
        store.close()
      })
  )

// They change what every file finds.
describe("what a file does not take", { concurrent: false }, () => {
  it.effect("is a message with its copies, where the disk has no room for all of them", () =>
    Effect.gen(function*() {
      const subscriptions = Array.from({ length: 9 }, (_, i) =>
        ({ kind: "subscription", topic: "news", name: `s${i}` }) as const)
      const data = yield* DataFile.file
      const emulator = Context.get(
        yield* Layer.build(
          inMemory({ data, entities: [{ kind: "topic", name: "news" }, ...subscriptions, Emulator.entity("orders")] })
        ),
        Emulator.Emulator
      )
      // 8 MiB stay, and each byte is written twice.
      yield* room(9 * 1024 * 1024)
      const messages = [{ body: Buffer.alloc(100_000) }]
      yield* emulator.send("orders", messages)
      yield* emulator.idle
      const { message } = yield* Effect.flip(emulator.send("news", messages))
      assert.include(message, "The maximum entity size has been reached")
      assert.match(message, /'news'\. The disk of the broker's data has \d+ KiB left, which is too little/)
      const posted = yield* ask("POST", "/messages?entity=news", [{ body: "x".repeat(100_000) }]).pipe(
        Effect.provideService(Emulator.Emulator, emulator)
      )
      assert.include(posted.json.message, "KiB left, which is too little.")
      assert.deepStrictEqual(yield* emulator.messages("news/Subscriptions/s0"), [])
      // With one subscription it is no more than any other.
      for (const { name } of subscriptions.slice(1)) {
        yield* emulator.delete(`news/Subscriptions/${name}`)
      }
      yield* emulator.send("news", messages)
      assert.strictEqual((yield* emulator.messages("news/Subscriptions/s0")).length, 1)
    }))

  it.effect("is a state that is loaded, where the disk has no room for it: nothing of it is there, and all else goes on", () =>
    Effect.gen(function*() {
      const data = yield* DataFile.file
      const emulator = Context.get(
        yield* Layer.build(inMemory({ data, entities: [Emulator.entity("orders")] })),
        Emulator.Emulator
      )
      yield* emulator.send("orders", [{ body: Buffer.from("first") }])
      yield* emulator.idle
      yield* room(9 * 1024 * 1024)
      const messages = Array.from({ length: 10 }, () => ({ body: { text: "x".repeat(100_000) } }))
      const error = yield* Effect.flip(
        emulator.load({ entities: [{ kind: "queue", name: "orders", messages }, { kind: "queue", name: "other" }] })
      )
      assert.strictEqual(error.reason, "quotaExceeded")
      assert.include(error.message, "The disk of the broker's data has 9216 KiB left")
      assert.strictEqual((yield* emulator.messages("orders")).length, 1)
      assert.strictEqual((yield* Effect.flip(emulator.messages("other"))).reason, "notFound")
      yield* emulator.send("orders", [{ body: Buffer.from("second") }])
      yield* emulator.idle
      // One that is refused for what it says has taken no room.
      yield* emulator.load({ entities: [{ kind: "queue", name: "orders", messages: messages.slice(0, 3) }] })
      yield* emulator.idle
      const twice = { kind: "queue", name: "twice", messages: messages.slice(0, 3) } as const
      for (let i = 0; i < 3; i++) {
        assert.include((yield* Effect.flip(emulator.load({ entities: [twice, twice] }))).message, "is given twice")
      }
    }))

  it.effect("are messages where the folder of the file is gone, of which nobody is told the name", () =>
    Effect.gen(function*() {
      const data = yield* DataFile.file
      const emulator = Context.get(
        yield* Layer.build(inMemory({ data, entities: [Emulator.entity("orders")] })),
        Emulator.Emulator
      )
      fs.rmSync(path.dirname(data), { recursive: true })
      const error = yield* Effect.flip(emulator.send("orders", [{ body: Buffer.from("x") }]))
      assert.strictEqual(error._tag, "EmulatorError")
      assert.include(error.message, "The file of the broker's data was removed or replaced")
      assert.notInclude(error.message, path.dirname(data))
    }))

  it.effect("is a broker whose first commit fails: it does not start, and the file is as it was", () =>
    Effect.gen(function*() {
      const data = yield* DataFile.file
      yield* Effect.scoped(Layer.build(inMemory({ data, entities: [Emulator.entity("orders")] })))
      const before = DataFile.bytesOf(data)
      const begun = yield* Effect.scoped(
        Effect.andThen(
          DataFile.full,
          Effect.exit(Effect.scoped(Layer.build(inMemory({ data, entities: [Emulator.entity("others")] }))))
        )
      )
      assert.isTrue(Exit.isFailure(begun))
      if (Exit.isFailure(begun)) {
        const [reason] = begun.cause.reasons
        const error = reason?._tag === "Fail" ? reason.error : undefined
        assert.strictEqual(error?.reason, "quotaExceeded")
        assert.include(error?.problem, "cannot be written, and is left as it is: make room on its disk")
      }
      assert.deepStrictEqual(DataFile.bytesOf(data), before)
    }))

  it.effect("is a settlement that cannot be written: its answer is not sent, and it is kept once there is room", () =>
    Effect.gen(function*() {
      const data = yield* DataFile.file
      const logs: Array<string> = []
      const logger = Logger.make<unknown, void>(({ message }) => void logs.push(String(message)))
      yield* Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const other = yield* Layer.build(Layer.fresh(Emulator.layerClientOver("tcp")))
        const bystander = yield* Effect.provide(ServiceBusReceiver.make(Texts), other)
        yield* emulator.send(Texts, ["settled", "held"].map((body) => ({ body, messageId: body })))
        const [settled] = yield* receiver.receive({ max: 1 })
        const [held] = yield* bystander.receive({ max: 1 })
        yield* Effect.scoped(Effect.gen(function*() {
          yield* DataFile.full
          const error = yield* Effect.flip(receiver.complete(settled!))
          assert.strictEqual(error._tag, "OperationTimeoutError")
          assert.include(error.message, "may have been carried out")
          const refused = yield* Effect.flip(emulator.update(Texts.path, { maxDeliveryCount: 3 }))
          assert.include(refused.message, "its data cannot be written")
          const { json, status } = yield* ask("POST", "/clock/advance", { by: "1 second" })
          assert.strictEqual(status, 507)
          assert.strictEqual(json.error, "InsufficientStorage")
          assert.include(json.message, "make room on its disk")
          const administration = yield* ServiceBusAdministration.ServiceBusAdministration
          const notRead = yield* Effect.flip(administration.getQueue(Texts))
          assert.strictEqual(notRead.condition, "http:507")
          assert.include(notRead.description, "make room on its disk")
          const health = yield* ask("GET", "/health", undefined, null)
          assert.strictEqual(health.status, 507)
          assert.strictEqual(health.json.status, "unhealthy")
        }))
        // It is written by itself, once that goes.
        yield* TestClock.adjust("1 second")
        assert.include(logs, "The broker's data is written again")
        // The connection of the other one had nothing to be told, and is as it was.
        yield* bystander.complete(held!)
        assert.deepStrictEqual(yield* emulator.messages(Texts), [])
      }).pipe(
        Effect.scoped,
        Effect.provide(
          overTcp({ data, clock: "manual", entities: [Emulator.entity(Texts)] }, { retry: { maxRetries: 0 } }).pipe(
            Layer.provideMerge(Logger.layer([logger]))
          )
        )
      )
      const again = Context.get(yield* Layer.build(inMemory({ data, entities: [] })), Emulator.Emulator)
      assert.deepStrictEqual(yield* again.messages(Texts), [])
      assert.deepStrictEqual(logs.filter((line) => line.startsWith("The broker's data")), [
        "The broker's data cannot be written: it serves nothing until it can",
        "The broker's data is written again"
      ])
    }))

  it.effect("is kept with its bytes and its id once it can be written, and is one message then", () =>
    Effect.gen(function*() {
      const data = yield* DataFile.file
      const copy = yield* DataFile.file
      const entities = [Emulator.entity("once", { duplicateDetectionWindow: "1 hour" })]
      const send = (emulator: Emulator.Emulator["Service"], messageId: string) =>
        emulator.send("once", [{ messageId, body: Buffer.from(messageId) }])
      yield* Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* Effect.scoped(Effect.gen(function*() {
          yield* DataFile.full
          const error = yield* Effect.flip(send(emulator, "first"))
          assert.strictEqual((error as { readonly reason?: string }).reason, "unavailable")
        }))
        yield* TestClock.adjust("1 second")
        yield* send(emulator, "second")
        yield* DataFile.killed(data, copy)
      }).pipe(Effect.scoped, Effect.provide(inMemory({ data, entities })))
      const again = Context.get(yield* Layer.build(inMemory({ data: copy, entities: [] })), Emulator.Emulator)
      for (const id of ["first", "second"]) yield* send(again, id)
      assert.deepStrictEqual(
        (yield* again.messages("once")).map(({ body, messageId }) => [messageId, Buffer.from(body).toString()]),
        [["first", "first"], ["second", "second"]]
      )
    }))

  it.effect("are more namespaces than there are numbers for; those of what has gone are given again", () =>
    Effect.gen(function*() {
      const file = yield* DataFile.file
      const most = 2 ** 17
      const all = yield* opened(file)
      all.namespaces()
      assert.isTrue(Result.isSuccess(all.serve()))
      for (let i = 0; i < most; i++) {
        assert.isUndefined(all.namespaceRefusal)
        const store = all.addNamespace("")
        assert.strictEqual(store.id, i)
        if (i === 5 || i === 7) continue
        store.remove()
        if (i % 1000 === 0) assert.isTrue(all.commit())
      }
      assert.isTrue(all.commit())
      const ids = Array.from({ length: most - 2 }, () => all.addNamespace("").id)
      assert.deepStrictEqual(ids.slice(0, 8), [0, 1, 2, 3, 4, 6, 8, 9])
      assert.strictEqual(new Set(ids).size, most - 2)
      assert.include(all.namespaceRefusal, "remove one")
      assert.isTrue(all.commit())
    }))
})
