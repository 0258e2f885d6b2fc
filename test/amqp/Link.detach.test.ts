/** A peer may detach a link and not say why (AMQP 1.0 section 2.7.7): it is lost all the same. */
import { ServiceBusReceiver } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { idsOf, linkOf, passing, Texts, texts } from "../support/harness.ts"
import { assert, describe, it } from "../support/vitest.ts"

/** What rhea does with a frame. */
interface Detached {
  readonly on_detach: (frame: { readonly performative: { readonly closed: boolean } }) => void
}

describe("A link that its peer detaches", () => {
  it.effect("is lost without an error, too", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const link = linkOf(yield* Scope.provide(ServiceBusReceiver.make(Texts), scope))
      ;(link.rhea as unknown as Detached).on_detach({ performative: { closed: true } })
      const death = link.dead()
      const connectionDeath = link.connection.dead()
      // One that has not heard it waits for the answer to its own.
      yield* passing(Scope.close(scope, Exit.void))
      assert.strictEqual(death?._tag, "ServiceBusConnectionError")
      assert.isUndefined(connectionDeath)
    }).pipe(Effect.scoped, Effect.provide(Emulator.layer({ entities: [Emulator.entity(Texts)] }))))

  it.effect("is closed where its session is ended meanwhile: no detach of it is answered any more", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const scope = yield* Scope.make()
      yield* Scope.provide(ServiceBusReceiver.make(Texts), scope)
      yield* emulator.endSessions({ condition: "amqp:internal-error" })
      // The clock does not move.
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* emulator.idle
      assert.isDefined(closing.pollUnsafe())
    }).pipe(Effect.scoped, Effect.provide(Emulator.layer({ entities: [Emulator.entity(Texts)] }))))

  it.effect("brings first what the broker has delivered on it, and forgotten", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const receiver = yield* ServiceBusReceiver.makeDestructive(Texts)
      const receiving = yield* Effect.forkChild(receiver.receive({ max: 3 }), { startImmediately: true })
      yield* emulator.idle
      yield* Effect.andThen(
        emulator.send(Texts, texts(3)),
        emulator.detachLinks({ condition: "amqp:link:detach-forced" })
      )
      assert.lengthOf(idsOf(yield* Fiber.join(receiving)), 3)
    }).pipe(Effect.scoped, Effect.provide(Emulator.layer({ entities: [Emulator.entity(Texts)] }))))
})
