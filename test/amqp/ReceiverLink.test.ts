/** A fiber that waits for messages is woken by them, also where they come while the fiber yields. */
import { ServiceBusReceiver } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import * as ReceiverState from "../../src/internal/receiver/ReceiverState.ts"
import { inMemory, testsOf, Texts, texts, until } from "../support/harness.ts"
import { missedAt } from "../support/steps.ts"
import { assert, describe } from "../support/vitest.ts"

describe("a link on which messages are received", () => {
  const { test } = testsOf("in memory", inMemory)

  test("wakes what waits for messages, at whichever of its steps they come", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, texts(1))
      const { link } = ReceiverState.stateOf(yield* ServiceBusReceiver.make(Texts, { prefetch: 1 }))
      yield* until(Effect.sync(() => link.size() === 1))
      const deliveries = link.take(1)
      const missed = yield* missedAt(() => link.awaitSize(1), () => link.putBack(deliveries), {
        before: () => link.take(1)
      })
      assert.deepStrictEqual(missed, [])
      link.dispose(link.take(1), { _tag: "Released" })
    }))
})
