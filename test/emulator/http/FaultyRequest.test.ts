/** What comes of requests of administration that a fault has struck: by our client in memory, and by sockets. */
import { Duration, Effect, Fiber, Redacted } from "effect"
import { ConnectionString, ServiceBusAdministration } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { TestClock } from "effect/testing"
import * as AtomXml from "../../../src/internal/administration/AtomXml.ts"
import * as SasToken from "../../../src/internal/SasToken.ts"
import { failsWith, inMemory, overTcp, passing, start, testsOf, until } from "../../support/harness.ts"
import { assert, describe } from "../../support/vitest.ts"

const strict = { client: { operationTimeout: "5 seconds", retry: { maxRetries: 0 } } } as const

const operation = "administer"

const exists = Effect.gen(function*() {
  const emulator = yield* Emulator.Emulator
  return yield* Effect.match(emulator.runtime("made"), { onSuccess: () => true, onFailure: () => false })
})

const create = Effect.flatMap(
  ServiceBusAdministration.ServiceBusAdministration,
  (administration) => Effect.asVoid(administration.createQueue("made"))
)

describe("a request of administration that a fault strikes", () => {
  const { test } = testsOf("in memory", inMemory)

  test("is refused, with an error or the service's advice", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.fail({ operation, entity: "MADE", error: { condition: "amqp:resource-limit-exceeded" } })
      yield* create.pipe(failsWith("ServiceBusQuotaExceededError"))
      yield* emulator.fail({ operation, action: "throttle", retryAfter: "3 seconds" })
      const refused = yield* create.pipe(failsWith("ServiceBusServerBusyError"))
      assert.strictEqual(Duration.toSeconds(refused.retryAfter), 3)
      assert.isFalse(yield* exists)
    }), strict)

  for (const when of ["before", "after"] as const) {
    test(`is late, ${when} it is carried out`, () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.fail({ operation, action: "delay", delay: "2 seconds", when })
        const creating = yield* start(create)
        yield* emulator.idle
        assert.strictEqual(yield* exists, when === "after")
        yield* TestClock.adjust("1999 millis")
        assert.isUndefined(creating.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        yield* Fiber.join(creating)
        assert.isTrue(yield* exists)
      }), strict)

    test(`is never answered, ${when}`, () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.fail({ operation, action: "drop", when })
        const failed = yield* passing(create).pipe(failsWith("OperationTimeoutError"))
        assert.strictEqual(failed.outcome, "unknown")
        assert.strictEqual(yield* exists, when === "after")
      }), strict)

    test(`is cut, ${when}`, () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.fail({ operation, action: "disconnect", when })
        const exit = yield* Effect.exit(passing(create))
        assert.include(String(exit), "ECONNRESET")
        assert.strictEqual(yield* exists, when === "after")
      }), strict)
  }
})

describe("a request on a socket that a fault strikes", () => {
  const { test } = testsOf("over TCP", overTcp)

  /** Asks for a queue to be made, until the signal says so. */
  const put = Effect.fnUntraced(function*(name = "made", signal?: AbortSignal) {
    const { connectionString, port } = yield* Emulator.Emulator
    const { credential } = yield* ConnectionString.parse(connectionString)
    if (credential._tag !== "SharedKey") return assert.fail("a key was expected")
    const token = SasToken.sign({
      resource: "https://localhost/",
      keyName: credential.name,
      key: credential.key,
      expiresAt: 10_000_000_000
    })
    return yield* Effect.tryPromise(() =>
      fetch(`http://127.0.0.1:${port}/${name}?api-version=2021-05`, {
        method: "PUT",
        headers: { authorization: Redacted.value(token) },
        body:
          `<entry xmlns="${AtomXml.atom}"><content type="application/xml"><QueueDescription xmlns="${AtomXml.connect}"/></content></entry>`,
        ...(signal === undefined ? {} : { signal })
      })
    )
  })

  test("is told when to try again", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.fail({ operation, action: "throttle", retryAfter: "1500 millis" })
      const { headers, status } = yield* put()
      assert.deepStrictEqual([status, headers.get("retry-after")], [503, "2"])
      assert.strictEqual((yield* put()).status, 201)
    }))

  test("is cut, and others go on", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.fail({ operation, action: "disconnect" })
      yield* Effect.flip(put())
      assert.isFalse(yield* exists)
      assert.strictEqual((yield* put()).status, 201)
    }))

  test("is not carried out any more once its client has gone", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.fail({ operation, action: "delay", delay: "300 millis" })
      const controller = new AbortController()
      const putting = yield* start(Effect.flip(put("made", controller.signal)))
      yield* until(Effect.map(emulator.faults, ([fault]) => fault?.hits === 1))
      controller.abort()
      yield* Fiber.join(putting)
      // What is asked for later, and as late, is answered after it would have been.
      yield* emulator.fail({ operation, action: "delay", delay: "300 millis" })
      assert.strictEqual((yield* put("other")).status, 201)
      assert.isFalse(yield* exists)
    }))
})
