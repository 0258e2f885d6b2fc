/** What comes of links to an entity whose attach a fault has struck: of those that ask for a session, and of those that do not. */
import { Effect, Exit, Fiber, Option, Scope } from "effect"
import { ServiceBusReceiver, ServiceBusSender, ServiceBusSession } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { TestClock } from "effect/testing"
import { both, failsWith, passing, start, testsWith, Texts, until } from "../../support/harness.ts"
import { Carts } from "../../support/sessionEntities.ts"
import { assert, describe } from "../../support/vitest.ts"

const strict = { client: { operationTimeout: "1500 millis", retry: { maxRetries: 0 } } } as const

const acceptSession = { operation: "acceptSession", entity: Carts } as const

both((name, layerFor) => {
  describe(`the accept of a session that a fault strikes, ${name}`, () => {
    const { clock, test } = testsWith(name, layerFor, [Emulator.entity(Carts)])

    const given = Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Carts, [{ body: "one", sessionId: "a" }])
      return emulator
    })

    /** The session is free, and holds what it held. */
    const isFree = Effect.gen(function*() {
      const session = yield* passing(ServiceBusSession.accept(Carts, "a"))
      const [message] = yield* passing(session.receive())
      assert.deepInclude(message, { body: "one", deliveryCount: 0 })
      yield* passing(session.complete(message!))
    }).pipe(Effect.scoped)

    test("is refused", () =>
      Effect.gen(function*() {
        const emulator = yield* given
        yield* emulator.fail({ ...acceptSession, error: { condition: "com.microsoft:session-cannot-be-locked" } })
        yield* ServiceBusSession.accept(Carts, "a").pipe(failsWith("SessionCannotBeLockedError"))
        yield* emulator.fail({ ...acceptSession, action: "throttle", retryAfter: "1 second" })
        yield* ServiceBusSession.accept(Carts, "a").pipe(failsWith("ServiceBusServerBusyError"))
        yield* isFree
      }), strict)

    for (const when of ["before", "after"] as const) {
      test(
        `is never answered, ${when} it was carried out: the session is free again once the client gives up`,
        () =>
          Effect.gen(function*() {
            const emulator = yield* given
            yield* emulator.fail({ ...acceptSession, action: "drop", when })
            const accepting = yield* start(
              passing(ServiceBusSession.acceptNext(Carts, { wait: "1 second" }).pipe(Effect.scoped, Effect.exit))
            )
            if (when === "after") {
              yield* until(Effect.map(emulator.counters(Carts), ({ sessionsAccepted }) => sessionsAccepted === 1))
            }
            assert.isTrue(Exit.isFailure(yield* Fiber.join(accepting)))
            assert.strictEqual((yield* emulator.counters(Carts)).sessionsAccepted, when === "after" ? 1 : 0)
            yield* isFree
          }),
        strict
      )

      test(`is late, ${when}`, () =>
        Effect.gen(function*() {
          const emulator = yield* given
          yield* emulator.fail({ ...acceptSession, action: "delay", delay: "300 millis", when })
          yield* isFree
          assert.deepStrictEqual((yield* emulator.faults).map(({ hits }) => hits), [1])
        }), strict)

      for (const action of ["detach", "endSession", "disconnect"] as const) {
        test(`ends with ${action}, ${when}`, () =>
          Effect.gen(function*() {
            const emulator = yield* given
            yield* emulator.fail({ ...acceptSession, action, when })
            // After its answer the session is there for a moment, and lost then.
            yield* passing(Effect.exit(Effect.scoped(ServiceBusSession.accept(Carts, "a"))))
            yield* isFree
          }), strict)
      }
    }

    test("is no attach of a sender, which an attach is of both", () =>
      Effect.gen(function*() {
        const emulator = yield* given
        const error = { condition: "amqp:unauthorized-access" }
        yield* emulator.inject({ operation: "acceptSession", error })
        yield* Effect.scoped(ServiceBusSender.make(Carts))
        yield* ServiceBusReceiver.make(Texts)
        yield* ServiceBusSession.accept(Carts, "a").pipe(failsWith("ServiceBusAuthorizationError"))
        yield* emulator.removeFaults
        yield* emulator.inject({ operation: "attach", entity: Carts, error })
        yield* ServiceBusSender.make(Carts).pipe(failsWith("ServiceBusAuthorizationError"))
        yield* ServiceBusSession.accept(Carts, "a").pipe(failsWith("ServiceBusAuthorizationError"))
      }), strict)

    clock("waits for the next session behind its delay", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.fail({ ...acceptSession, action: "delay", delay: "2 seconds" })
        const accepting = yield* start(ServiceBusSession.acceptNext(Carts, { wait: "10 seconds" }))
        yield* emulator.idle
        yield* TestClock.adjust("2 seconds")
        yield* emulator.idle
        assert.isUndefined(accepting.pollUnsafe())
        yield* emulator.send(Carts, [{ body: "", sessionId: "b" }])
        const accepted = yield* Fiber.join(accepting)
        assert.strictEqual(Option.getOrThrow(accepted).sessionId, "b")
      }))
  })

  describe(`an attach that a fault strikes, ${name}`, () => {
    const { clock, test } = testsWith(name, layerFor, [])

    test("is refused when it is carried out late, where the entity is disabled by then", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.fail({ operation: "attach", entity: Texts, action: "delay", delay: "300 millis" })
        const making = yield* start(passing(ServiceBusSender.make(Texts)))
        yield* until(Effect.map(emulator.faults, ([fault]) => fault?.hits === 1))
        yield* emulator.update(Texts, { status: "Disabled" })
        yield* Fiber.join(making).pipe(failsWith("MessagingEntityDisabledError"))
        yield* emulator.update(Texts, { status: "Active" })
        yield* ServiceBusSender.make(Texts)
      }), strict)

    clock(
      "is forgotten where its client goes away first, and others on the connection go on",
      () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const other = yield* ServiceBusSender.make(Texts)
          for (const action of ["delay", "drop"] as const) {
            yield* emulator.fail({
              operation: "attach",
              ...(action === "drop" ? { action } : { action, delay: "1 hour" })
            })
            const scope = yield* Scope.make()
            const making = yield* start(Scope.provide(ServiceBusReceiver.make(Texts), scope))
            yield* emulator.idle
            yield* Fiber.interrupt(making)
            yield* Scope.close(scope, Exit.void)
          }
          yield* TestClock.adjust("2 hours")
          yield* passing(other.send({ body: "there" }))
          assert.lengthOf(yield* emulator.messages(Texts), 1)
        })
    )
  })
})
