/** Requests that need the lock of a session, and wait for credit from its management node: they end with the session. */
import { ServiceBusSession } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as EntityManagement from "../../src/internal/management/EntityManagement.ts"
import * as ReceiverState from "../../src/internal/receiver/ReceiverState.ts"
import * as Peer from "../simulation/Peer.ts"
import { failsWith, start } from "../support/harness.ts"
import { Carts } from "../support/sessionEntities.ts"
import { assert, describe, it } from "../support/vitest.ts"

/** A session with two deferred messages, of which one is locked again, and a broker that then takes all credit back. */
const starving = Effect.gen(function*() {
  const peer = yield* Peer.make
  const services = yield* Layer.build(Emulator.layer({ entities: [Emulator.entity(Carts)] }))
  return yield* Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    yield* emulator.send(Carts, ["1", "2"].map((messageId) => ({ body: "x", sessionId: "a", messageId })))
    const session = yield* ServiceBusSession.accept(Carts, "a")
    const messages = yield* session.receive({ max: 2 })
    yield* Effect.forEach(messages, (message) => session.defer(message))
    const [message] = yield* session.receiveDeferred([1n])
    peer.starve(true)
    yield* emulator.idle
    const lose = Effect.andThen(
      emulator.detachLinks({ condition: "com.microsoft:session-lock-lost" }, Carts),
      emulator.idle
    )
    return { emulator, lose, message: message!, peer, session }
  }).pipe(Effect.provideContext(services))
})

type Starving = Effect.Success<typeof starving>

// One at a time: what the broker is made to do is done to all brokers of the process.
describe("A session whose management node gives no credit", { concurrent: false }, () => {
  const requests: Readonly<Record<string, (given: Starving) => Effect.Effect<unknown, unknown>>> = {
    "deferred messages": ({ session }) => session.receiveDeferred([2n]),
    "a settlement of a deferred message": ({ message, session }) => session.complete(message),
    "its state": ({ session }) => session.state,
    "a renewal of its lock": ({ session }) => session.renewLock
  }
  for (const [what, request] of Object.entries(requests)) {
    it.effect(`is lost: what waits to be asked for fails at once, and is not asked for later (${what})`, () =>
      Effect.gen(function*() {
        const given = yield* starving
        const { emulator, lose, peer } = given
        const asking = yield* start(Effect.exit(request(given)))
        yield* emulator.idle
        assert.isUndefined(asking.pollUnsafe())
        yield* lose
        assert.isDefined(asking.pollUnsafe())
        yield* Effect.flatten(Fiber.join(asking)).pipe(failsWith("SessionLockLostError"))
        peer.satisfy()
        yield* emulator.idle
        assert.deepStrictEqual((yield* emulator.messages(Carts)).map(({ state }) => state), ["deferred", "deferred"])
      }).pipe(Effect.scoped))
  }

  it.effect("is lost already: nothing is asked for on its behalf", () =>
    Effect.gen(function*() {
      const { lose, session } = yield* starving
      const { namespace, session: held } = ReceiverState.stateOf(session)
      const node = yield* namespace.managementNode("carts")
      yield* lose
      const asking = yield* start(Effect.exit(EntityManagement.receiveDeferred(node, {
        entity: "carts",
        sequenceNumbers: [2n],
        destructive: false,
        session: held,
        timeout: 1_000
      })))
      assert.isDefined(asking.pollUnsafe())
      yield* Effect.flatten(Fiber.join(asking)).pipe(failsWith("SessionLockLostError"))
    }).pipe(Effect.scoped))
})
