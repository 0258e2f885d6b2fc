/** Faults, and what ends at once, over HTTP. */
import { Effect } from "effect"
import { ServiceBusReceiver, ServiceBusSender, ServiceBusSession } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { ask } from "../../support/controlApi.ts"
import { failsWith, inMemory, once, testsWith, Texts } from "../../support/harness.ts"
import { Carts } from "../../support/sessionEntities.ts"
import { assert, describe } from "../../support/vitest.ts"

const { test } = testsWith("in memory", inMemory, [Emulator.entity(Carts)])

describe("faults over HTTP", () => {
  test("are asked for, listed with what they have struck, and taken back", () =>
    Effect.gen(function*() {
      const sender = yield* ServiceBusSender.make(Texts)
      const added = yield* ask("POST", "/faults", {
        operation: "send",
        entity: "texts",
        action: "throttle",
        retryAfter: "PT1S",
        times: 2
      })
      assert.strictEqual(added.status, 200)
      const fault = {
        operation: "send",
        entity: "texts",
        times: 2,
        probability: 1,
        seed: 0,
        action: "throttle",
        retryAfter: 1000
      }
      assert.deepStrictEqual(added.json, { id: "1", fault, hits: 0, isSpent: false })
      const error = { condition: "amqp:internal-error", description: "not now" }
      yield* ask("POST", "/faults", { operation: "settle", error, times: "every" })
      const cut = yield* ask("POST", "/faults", { operation: "renew", action: "detach" })
      assert.notProperty(cut.json.fault, "error")
      yield* ask("DELETE", "/faults/3")
      yield* sender.send({ body: "" }).pipe(failsWith("ServiceBusServerBusyError"))
      const listed = yield* ask("GET", "/faults")
      assert.deepStrictEqual(listed.json.map(({ hits, id }: Emulator.FaultStatus) => [id, hits]), [["1", 1], ["2", 0]])
      assert.strictEqual((yield* ask("DELETE", "/faults/1")).status, 204)
      const missing = yield* ask("DELETE", "/faults/1")
      assert.deepInclude(missing, { status: 404 })
      assert.deepStrictEqual(missing.json, { error: "NotFound", message: "it has no fault with the id \"1\"." })
      assert.strictEqual((yield* ask("DELETE", "/faults")).status, 204)
      assert.deepStrictEqual((yield* ask("GET", "/faults")).json, [])
    }), once)

  test("that are none are refused with 400, and it is said what is wrong", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [body: unknown, message: RegExp]> = [
        ["{", /the body|JSON/],
        [{}, /the body: .*operation/],
        [{ operation: "send" }, /the body: .*error/],
        [{ operation: "sned", action: "drop" }, /operation/],
        [{ operation: "send", action: "delay", delay: "soon" }, /^the body: Expected a finite duration.*"delay"\]$/],
        [{ operation: "send", action: "drop", time: 3 }, /time/],
        // JSON of a program that has no number or no name is no fault for all.
        [{ operation: "send", action: "drop", times: null }, /times/],
        [{ operation: "send", action: "drop", entity: null }, /entity/],
        [{ operation: "send", action: "loseLock" }, /"send" has no lock that could be lost/]
      ]
      for (const [body, message] of cases) {
        const { json, status } = yield* ask("POST", "/faults", body)
        assert.strictEqual(status, 400, JSON.stringify(body))
        assert.strictEqual(json.error, "BadRequest")
        assert.match(json.message, message)
      }
      assert.deepStrictEqual((yield* ask("GET", "/faults")).json, [])
    }))
})

describe("what ends at once, over HTTP", () => {
  test("are connections", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* ServiceBusSender.make(Texts)
      assert.strictEqual((yield* ask("POST", "/connections/drop")).status, 204)
      yield* emulator.idle
      assert.strictEqual(yield* emulator.connections, 0)
    }))

  test("are links, of an entity with an error", () =>
    Effect.gen(function*() {
      const session = yield* Effect.andThen(
        Effect.flatMap(Emulator.Emulator, ({ send }) => send(Carts, [{ body: "", sessionId: "a" }])),
        ServiceBusSession.accept(Carts, "a")
      )
      const error = { condition: "com.microsoft:session-lock-lost", description: "moved" }
      assert.strictEqual((yield* ask("POST", "/links/detach", { entity: "texts", error })).status, 204)
      assert.strictEqual((yield* ask("POST", "/links/detach", { entity: "carts", error })).status, 204)
      yield* session.lost.pipe(failsWith("SessionLockLostError"))
      assert.strictEqual((yield* ask("POST", "/links/detach", {})).status, 204)
      assert.strictEqual((yield* ask("POST", "/links/detach", { error: {} })).status, 400)
      assert.strictEqual((yield* ask("POST", "/links/detach", { entity: null })).status, 400)
    }))

  test("are locks, of an entity or of one session", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, [{ body: "one" }])
      yield* emulator.send(Carts, [{ body: "", sessionId: "a" }])
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const [message] = yield* receiver.receive()
      assert.deepStrictEqual((yield* ask("POST", "/locks/lose", { entity: "texts" })).json, { messages: 1 })
      yield* receiver.complete(message!).pipe(failsWith("MessageLockLostError"))
      const session = yield* ServiceBusSession.accept(Carts, "a")
      yield* session.receive()
      assert.deepStrictEqual((yield* ask("POST", "/locks/lose", { entity: "carts", session: "a" })).json, {
        messages: 1
      })
      yield* session.lost.pipe(failsWith("SessionLockLostError"))
      const free = yield* ask("POST", "/locks/lose", { entity: "carts", session: "a" })
      assert.deepInclude(free.json, { message: "\"carts\" has no locked session \"a\"." })
      assert.strictEqual(free.status, 404)
      assert.strictEqual((yield* ask("POST", "/locks/lose", { entity: "missing" })).status, 404)
    }), once)
})
