/** A peer may detach a link and not say why (AMQP 1.0 section 2.7.7): it is lost all the same. */
import { ServiceBusReceiver } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import { linkOf, Texts } from "../support/harness.ts"
import { assert, describe, it } from "../support/vitest.ts"

/** What rhea does with a frame. */
interface Detached {
  readonly on_detach: (frame: { readonly performative: { readonly closed: boolean } }) => void
}

describe("A link that its peer detaches", () => {
  it.effect("is lost without an error, too", () =>
    Effect.gen(function*() {
      const link = linkOf(yield* ServiceBusReceiver.make(Texts))
      ;(link.rhea as unknown as Detached).on_detach({ performative: { closed: true } })
      assert.strictEqual(link.dead()?._tag, "ServiceBusConnectionError")
      assert.isUndefined(link.connection.dead())
    }).pipe(Effect.scoped, Effect.provide(Emulator.layer({ entities: [Emulator.entity(Texts)] }))))
})
