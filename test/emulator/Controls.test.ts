/** What a test sees and does at the broker: entities by contracts and by their plain names. */
import { Effect } from "effect"
import { ServiceBusEntity } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { buryAll } from "../support/deadLetterEntities.ts"
import { failsWith, idsOf, inMemory, Orders, testsOf, TextBytes, Texts } from "../support/harness.ts"
import { assert, describe } from "../support/vitest.ts"

describe("an entity of the controls", () => {
  const { test } = testsOf("in memory", inMemory)

  test("is given by its plain name, with bodies of bytes", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const bodies = [Buffer.from("one"), Buffer.from([0xff])]
      yield* emulator.send("texts", bodies.map((body, i) => ({ body, messageId: String(i) })))
      assert.deepStrictEqual((yield* emulator.messages("texts")).map(({ body }) => Buffer.from(body)), bodies)
      assert.deepStrictEqual((yield* emulator.messages(Texts)).map(({ body }) => body), ["one", undefined])
      yield* buryAll(TextBytes, 2)
      assert.deepStrictEqual(idsOf(yield* emulator.deadLetters("texts")), ["0", "1"])
      assert.strictEqual((yield* emulator.counters("texts")).deadLettered, 2)
      yield* emulator.failTransfer("texts", [{ body: Buffer.from("x"), messageId: "t" }])
      assert.deepStrictEqual(
        idsOf(yield* emulator.messages(ServiceBusEntity.transferDeadLetter("texts"))),
        ["t"]
      )
      yield* emulator.send("texts", [{ body: "text" as never }]).pipe(failsWith("MessageEncodeError"))
      const error = yield* emulator.messages("missing").pipe(failsWith("EmulatorError"))
      assert.include(error.problem, "\"missing\"")
    }))

  test("may be one of several contracts", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, [{ body: "one" }])
      yield* emulator.send(Orders, [{ body: { id: "two", total: 1 } }])
      const either: ReadonlyArray<typeof Orders | typeof Texts> = [Orders, Texts]
      const found = yield* Effect.forEach(either, (entity) => emulator.messages(entity))
      const bodies = found.flat().map(({ body }) => typeof body === "string" ? body : body.id)
      assert.deepStrictEqual(bodies, ["two", "one"])
    }))
})
