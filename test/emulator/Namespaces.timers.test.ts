/**
 * What a namespace leaves in the process when it is removed: nothing. Alone in a file, because all timers of the process are
 * counted.
 */
import { DateTime, Effect } from "effect"
import * as Emulator from "effect-service-bus/emulator"
import { until } from "../support/harness.ts"
import { assert, describe, it } from "../support/vitest.ts"

describe("a namespace that is removed", () => {
  it.live("leaves no timer, while those of others are there", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const timers = () => process.getActiveResourcesInfo().filter((each) => each === "Timeout").length
      /** A namespace whose lock, schedule, time to live and idle entity are due some time. */
      const make = Effect.fnUntraced(function*(name: string) {
        const brief = Emulator.entity("brief", { autoDeleteOnIdle: "5 minutes" })
        const made = yield* emulator.createNamespace({ name, entities: [Emulator.entity("orders"), brief] })
        const now = yield* made.now
        yield* made.send("orders", [
          { body: new Uint8Array(1), timeToLive: "1 minute" },
          { body: new Uint8Array(1), scheduledEnqueueTime: DateTime.add(now, { minutes: 2 }) }
        ])
        return made
      })
      const bystander = yield* make("bystander")
      yield* Effect.yieldNow
      const before = timers()
      for (let round = 0; round < 20; round++) yield* make(`red-${round}`)
      yield* Effect.yieldNow
      // Those of the runner come and go.
      assert.isAtLeast(timers(), before + 15)
      for (let round = 0; round < 20; round++) yield* emulator.removeNamespace(`red-${round}`)
      yield* until(Effect.sync(() => timers() < before + 3))
      assert.lengthOf(yield* bystander.messages("orders"), 2)
    }).pipe(Effect.provide(Emulator.layer({ entities: [] }))))
})
