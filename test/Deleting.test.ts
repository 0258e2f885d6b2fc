import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ServiceBusReceiver } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { suite } from "./suites/deleting.ts"
import { both, failsWith, Texts, texts } from "./suites/harness.ts"

describe("Deleting", () => {
  both(suite)

  it.effect("an endpoint that does not know it is not supported", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, texts(1))
      const receiver = yield* ServiceBusReceiver.make(Texts)
      yield* emulator.fail({ operation: "delete", error: { condition: "amqp:not-implemented", description: "no." } })
      const error = yield* receiver.purge().pipe(failsWith("NotSupportedError"))
      assert.deepInclude(error, { entity: "texts", operation: "deleteMessages", condition: "amqp:not-implemented" })
      assert.lengthOf(yield* emulator.messages(Texts), 1)
    }).pipe(Effect.scoped, Effect.provide(Emulator.layer({ entities: [Emulator.entity(Texts)] }))))
})
