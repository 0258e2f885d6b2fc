/** Who a link belongs to: on the wire, in errors, on spans; given or made up. */
import {
  type ServiceBusClient,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender,
  ServiceBusSession
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { both, failsWith, linkOf, once, passing, start, testsWith, Texts } from "../support/harness.ts"
import { Carts } from "../support/sessionEntities.ts"
import { recorder } from "../support/spanRecorder.ts"
import { assert, describe } from "../support/vitest.ts"

type Requirements = Scope.Scope | ServiceBusClient.ServiceBusClient

/** The other terminus as the peer repeats it, and the link's property. */
const told = (holder: object) => {
  const { local, remote } = linkOf(holder).rhea
  const { source, target } = remote.attach!
  return {
    address: (local.attach["role"] === false ? source : target).address,
    property: local.attach["properties"]?.["com.microsoft:receiver-name"]
  }
}

both((name, layerFor) =>
  describe(`The identifier of a link, ${name}`, () => {
    const { test } = testsWith(name, layerFor, [Emulator.entity(Carts)])

    test("is on the wire as the official clients write it, and can be read", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts, { identifier: "billing-out" })
        assert.strictEqual(sender.identifier, "billing-out")
        assert.deepStrictEqual(told(sender), { address: "billing-out", property: undefined })
        const receiver = yield* ServiceBusReceiver.make(Texts, { identifier: "billing-in" })
        assert.strictEqual(receiver.identifier, "billing-in")
        const receiving = { address: "billing-in", property: "billing-in" }
        assert.deepStrictEqual(told(receiver), receiving)
        const session = yield* ServiceBusSession.accept(Carts, "ada", { identifier: "billing-in" })
        assert.strictEqual(session.identifier, "billing-in")
        assert.deepStrictEqual(told(session), receiving)
      }))

    test("is the entity's path and a random part where none is given, also of a link that is attached again", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const session = yield* ServiceBusSession.accept(Carts, "ada")
        for (const { identifier } of [sender, receiver]) assert.match(identifier, /^texts-[0-9a-f-]{36}$/)
        assert.match(session.identifier, /^carts-[0-9a-f-]{36}$/)
        assert.notStrictEqual(sender.identifier, receiver.identifier)
        const before = linkOf(sender)
        yield* emulator.dropConnections
        yield* passing(sender.send({ body: "again" }), "1 second")
        assert.notStrictEqual(linkOf(sender), before)
        assert.strictEqual(told(sender).address, sender.identifier)
      }))

    test("of a processor of sessions is that of all its sessions", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const seen = yield* Deferred.make<string>()
        yield* ServiceBusProcessor.makeSessions(
          Carts,
          (_, __, session) => Effect.asVoid(Deferred.succeed(seen, session.identifier)),
          { identifier: "carts-worker-7" }
        )
        yield* emulator.send(Carts, [{ body: "a", sessionId: "ada" }])
        assert.strictEqual(yield* Deferred.await(seen), "carts-worker-7")
      }))

    test("is in what its operations fail with, and in the message where the program chose it", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const refuse = (operation: "attach" | "send" | "settle", condition: string) =>
          emulator.fail({ operation, entity: Texts, error: { condition } })
        const identifier = "billing-7"
        const sender = yield* ServiceBusSender.make(Texts, { identifier })
        yield* refuse("send", "amqp:resource-limit-exceeded")
        const full = yield* failsWith("ServiceBusQuotaExceededError")(sender.send({ body: "a" }))
        assert.strictEqual(full.identifier, identifier)
        assert.include(full.message, `on "texts" by "billing-7"`)

        const receiver = yield* ServiceBusReceiver.make(Texts, { identifier })
        yield* sender.send({ body: "a" })
        const [message] = yield* receiver.receive()
        yield* refuse("settle", "com.microsoft:message-lock-lost")
        const lost = yield* failsWith("MessageLockLostError")(receiver.complete(message!))
        assert.strictEqual(lost.identifier, identifier)
        const twice = yield* failsWith("MessageAlreadySettled")(receiver.complete(message!))
        assert.strictEqual(twice.identifier, identifier)

        yield* start(Stream.runDrain(receiver.messages))
        const busy = yield* failsWith("InvalidOptionError")(receiver.receive())
        assert.strictEqual(busy.identifier, identifier)

        yield* refuse("attach", "amqp:unauthorized-access")
        const refused = yield* failsWith("ServiceBusAuthorizationError")(ServiceBusSender.make(Texts, { identifier }))
        assert.strictEqual(refused.identifier, identifier)

        const unnamed = yield* ServiceBusSender.make(Texts)
        yield* refuse("send", "amqp:resource-limit-exceeded")
        const other = yield* failsWith("ServiceBusQuotaExceededError")(unnamed.send({ body: "a" }))
        assert.strictEqual(other.identifier, unnamed.identifier)
        assert.notInclude(other.message, unnamed.identifier)
      }).pipe(Effect.asVoid), once)

    test("is on spans", () => {
      const { all, tracer } = recorder()
      return Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts, { identifier: "billing-out" })
        yield* sender.send({ body: "a" })
        const receiver = yield* ServiceBusReceiver.make(Texts, { identifier: "billing-in" })
        yield* receiver.completeAll(yield* receiver.receive())
        const session = yield* ServiceBusSession.accept(Carts, "ada", { identifier: "carts-in" })
        yield* session.state
        assert.deepStrictEqual(
          all().map(({ attributes, name }) => [name, attributes["messaging.client.id"]]),
          [
            ["send texts", "billing-out"],
            ["receive texts", "billing-in"],
            ["complete texts", "billing-in"],
            ["accept_session carts", "carts-in"],
            ["get_session_state carts", "carts-in"]
          ]
        )
      }).pipe(Effect.withTracer(tracer))
    })

    test("that a peer could not print is refused before anything is on the wire", () =>
      Effect.gen(function*() {
        for (const identifier of ["", "a\nb", "a\ud800", "x".repeat(513), 5 as never]) {
          for (
            const made of [
              ServiceBusSender.make(Texts, { identifier }),
              ServiceBusReceiver.make(Texts, { identifier }),
              ServiceBusSession.accept(Carts, "ada", { identifier }),
              ServiceBusProcessor.makeSessions(Carts, () =>
                Effect.void, { identifier })
            ]
          ) {
            const error = yield* failsWith("InvalidOptionError")<unknown, unknown, Requirements>(made)
            assert.strictEqual(error.option, "identifier")
          }
        }
        const longest = yield* ServiceBusSender.make(Texts, { identifier: "é".repeat(512) })
        assert.strictEqual(told(longest).address, longest.identifier)
      }))
  })
)
