/** The management API asked in this process: under virtual time, and while the broker is off the network. */
import { Effect, Redacted } from "effect"
import { ConnectionString } from "effect-service-bus"
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
})
