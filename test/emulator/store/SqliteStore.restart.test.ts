/** What a broker holds is there again after the process that had it was killed, and after one that ended. */
import { Context, Effect, Layer } from "effect"
import { ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as DataFile from "../../support/dataFile.ts"
import { entities, fill, Once } from "../../support/everything.ts"
import { both, idsOf, Texts } from "../../support/harness.ts"
import { assert, describe, it } from "../../support/vitest.ts"

both((name, layerFor) => {
  describe(`a broker with a file ${name}`, () => {
    it.effect("is after a kill what it was", () =>
      Effect.gen(function*() {
        const file = yield* DataFile.file
        const startAt = yield* Emulator.now
        const options = { clock: "manual", startAt } as const
        const copy = yield* DataFile.file
        const before = yield* Effect.gen(function*() {
          yield* fill
          const emulator = yield* Emulator.Emulator
          yield* emulator.idle
          yield* DataFile.killed(file, copy)
          return yield* emulator.dump()
        }).pipe(
          Effect.scoped,
          Effect.provide(layerFor({ ...options, data: file, entities: [Emulator.entity(Texts), ...entities] }))
        )
        const again = Context.get(
          yield* Layer.build(layerFor({ ...options, data: copy, entities: [] })),
          Emulator.Emulator
        )
        // A lock that ended with the process is one that was lost.
        const lost = JSON.stringify(before, null, 1).replace(
          /("deliveryCount": )0(,\s*"messageId": "locked")/,
          (_, name: string, rest: string) => `${name}1${rest}`
        )
        assert.notStrictEqual(lost, JSON.stringify(before, null, 1))
        assert.strictEqual(JSON.stringify(yield* again.dump(), null, 1), lost)
        yield* again.send(Once, [{ body: "x again", messageId: "x" }])
        assert.deepStrictEqual(idsOf(yield* again.messages(Once)), ["x"])
      }))

    it.effect("has the key that it had, and goes on with its numbers", () =>
      Effect.gen(function*() {
        const file = yield* DataFile.file
        const once = Effect.gen(function*() {
          const { connectionString } = yield* Emulator.Emulator
          const sender = yield* ServiceBusSender.make(Texts)
          const receiver = yield* ServiceBusReceiver.make(Texts)
          yield* sender.send({ body: "a" })
          const [message] = yield* receiver.receive({ max: 1 })
          yield* receiver.complete(message!)
          return [connectionString, message!.sequenceNumber] as const
        }).pipe(
          Effect.scoped,
          Effect.provide(layerFor({ data: file, entities: [Emulator.entity(Texts)] }))
        )
        const [, first] = yield* once
        const [, second] = yield* once
        assert.deepStrictEqual([first, second], [1n, 2n])
      }))
  })
})
