/** The management API asked in this process: under virtual time, and while the broker is off the network. */
import { Effect, Fiber, Redacted } from "effect"
import { ConnectionString, ServiceBusAdministration, ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import * as SasToken from "../../../src/internal/SasToken.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const asked = Effect.fnUntraced(function*(request: HttpClientRequest.HttpClientRequest) {
  const { connectionString, httpClient } = yield* Emulator.Emulator
  const { credential } = yield* ConnectionString.parse(connectionString)
  if (credential._tag !== "SharedKey") return assert.fail("a key was expected")
  const token = SasToken.sign({
    resource: "sb://emulator.localhost/",
    keyName: credential.name,
    key: credential.key,
    expiresAt: 1e9
  })
  return yield* httpClient.execute(HttpClientRequest.setHeader(request, "authorization", Redacted.value(token)))
})

describe("a client in memory", () => {
  it.effect("is answered as over a socket, at once", () =>
    Effect.gen(function*() {
      const response = yield* asked(
        HttpClientRequest.get("http://emulator.localhost/$Resources/queues?api-version=2021-05")
      )
      assert.strictEqual(response.status, 200)
      assert.strictEqual(response.headers["content-type"], "application/atom+xml;type=feed;charset=utf-8")
      assert.include(yield* response.text, "orders")
      const gone = yield* asked(HttpClientRequest.delete("http://emulator.localhost/orders"))
      assert.deepStrictEqual([gone.status, yield* gone.text], [200, ""])
      yield* TestClock.adjust("1 hour")
      const put = yield* asked(
        HttpClientRequest.bodyText(HttpClientRequest.put("https://emulator.localhost/a"), "<no/>")
      )
      assert.strictEqual(put.status, 400)
    }).pipe(Effect.provide(Emulator.layer({ entities: [Emulator.entity("orders")] }))))

  it.effect("is refused while the broker is stopped", () =>
    Effect.gen(function*() {
      const { start, stop } = yield* Emulator.Emulator
      const request = HttpClientRequest.get("http://emulator.localhost/orders")
      yield* stop
      const error = yield* Effect.flip(asked(request))
      assert.match(error.message, /ECONNREFUSED/)
      yield* start
      assert.strictEqual((yield* asked(request)).status, 200)
    }).pipe(Effect.provide(Emulator.layer({ entities: [Emulator.entity("orders")] }))))

  it.effect("is told what a test asked for, and nothing has been done", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const conditions = {
        "com.microsoft:server-busy": 503,
        "com.microsoft:timeout": 504,
        "com.microsoft:argument-error": 400,
        "com.microsoft:entity-already-exists": 409,
        "amqp:not-found": 404,
        "amqp:not-allowed": 403,
        "amqp:unauthorized-access": 401,
        "amqp:resource-limit-exceeded": 403,
        "amqp:internal-error": 500
      }
      const request = HttpClientRequest.delete("http://emulator.localhost/Orders")
      for (const [condition, status] of Object.entries(conditions)) {
        yield* emulator.fail({
          operation: "administer",
          entity: "orders",
          error: { condition, description: "as asked" }
        })
        const response = yield* asked(request)
        assert.strictEqual(response.status, status)
        assert.match(yield* response.text, /<Detail>(SubCode=\d+\. )?as asked TrackingId:/)
      }
      const rule = ServiceBusEntity.subscription(ServiceBusEntity.topic("news", { body: ServiceBusBody.text }), "all")
      yield* emulator.fail({ operation: "administer", entity: rule, error: { condition: "com.microsoft:server-busy" } })
      assert.strictEqual((yield* asked(HttpClientRequest.get("http://emulator.localhost/news"))).status, 200)
      const rules = HttpClientRequest.get("http://emulator.localhost/news/Subscriptions/all/Rules/$Default")
      assert.deepStrictEqual([(yield* asked(rules)).status, (yield* asked(rules)).status], [503, 200])
      assert.strictEqual((yield* asked(request)).status, 200)
    }).pipe(Effect.provide(Emulator.layer({
      entities: [
        Emulator.entity("orders"),
        { kind: "topic", name: "news" },
        { kind: "subscription", topic: "news", name: "all" }
      ]
    }))))

  it.effect("tries again what a busy broker refused", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const administration = yield* ServiceBusAdministration.ServiceBusAdministration
      yield* emulator.fail({ operation: "administer", error: { condition: "com.microsoft:server-busy" }, times: 2 })
      const created = yield* Effect.forkChild(administration.createQueue("later"))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(created)).name, "later")
    }).pipe(Effect.provide(Emulator.layer({ entities: [] }))))
})
