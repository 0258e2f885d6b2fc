/** A link of a sender that gets no credit, and what is left of it once its connection is gone. */
import { ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Peer from "../simulation/Peer.ts"
import { countedTimers } from "../simulation/Resources.ts"
import { linkOf, soon, Texts } from "../support/harness.ts"
import { assert, describe, it } from "../support/vitest.ts"

/** How long rhea-promise waits for credit, in milliseconds. */
const hour = 3_600_000

const timers = Effect.acquireRelease(Effect.sync(countedTimers), ({ restore }) => Effect.sync(restore))

// One at a time: the timers are those of the process.
describe("The link of a sender without credit", { concurrent: false }, () => {
  for (const end of ["closeConnections", "dropConnections"] as const) {
    it.effect(`leaves no timer of rhea-promise's: ${end}`, () =>
      Effect.gen(function*() {
        const peer = yield* Peer.make
        const { count } = yield* timers
        const services = yield* Layer.build(Emulator.layer({ entities: [Emulator.entity(Texts)] }))
        yield* Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          peer.starve(false)
          yield* Effect.scoped(Effect.gen(function*() {
            const link = linkOf(yield* ServiceBusSender.make(Texts))
            yield* end === "dropConnections"
              ? emulator.dropConnections
              : emulator.closeConnections({ condition: "amqp:connection:forced", description: "simulated" })
            yield* soon(() => link.dead() !== undefined)
          }))
          assert.strictEqual(count(hour), 0)
        }).pipe(Effect.provideContext(services))
      }).pipe(Effect.scoped))
  }
})
