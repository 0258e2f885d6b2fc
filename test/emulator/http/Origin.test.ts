/** Pages that somebody has open in a browser: those of other sites do nothing to a broker on the same machine. */
import { Effect, Redacted } from "effect"
import * as Emulator from "effect-service-bus/emulator"
import * as http from "node:http"
import { WebSocket } from "ws"
import * as Origin from "../../../src/emulator/http/Origin.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const key = "SAS_KEY_VALUE"

/** What a browser sends for a form whose address has a name and a key in it, or that it remembers them for. */
const posted = (port: number, path: string, headers: Readonly<Record<string, string>>) =>
  Effect.callback<readonly [status: number | undefined, text: string]>((resume) => {
    const request = http.request({
      host: "127.0.0.1",
      port,
      path,
      method: "POST",
      agent: false,
      auth: `RootManageSharedAccessKey:${key}`,
      headers: { "content-type": "text/plain", ...headers }
    }, (response) => {
      let text = ""
      response.setEncoding("utf8").on("data", (chunk: string) => text += chunk)
      response.on("end", () => resume(Effect.succeed([response.statusCode, text])))
    })
    request.on("error", (error) => resume(Effect.succeed([undefined, error.message])))
    request.end("")
  })

/** What becomes of a WebSocket. */
const dialed = (port: number, options: { readonly origin?: string }) =>
  Effect.callback<string>((resume) => {
    const socket = new WebSocket(`ws://localhost:${port}/$servicebus/websocket`, ["AMQPWSB10"], options)
    socket.on("open", () => {
      socket.terminate()
      resume(Effect.succeed("open"))
    })
    socket.on("error", (error) => resume(Effect.succeed(error.message)))
  })

const foreign = [
  "https://evil.example",
  "http://evil.example:5672",
  "http://localhost.evil.example",
  "null",
  "",
  "localhost"
]

describe("a page of another site", () => {
  it.live("resets nothing, though the browser knows the key", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send("orders", [{ body: new Uint8Array(1) }])
      for (const origin of foreign) {
        const [status, text] = yield* posted(emulator.port, "/reset", { origin })
        assert.strictEqual(status, 403, origin)
        assert.include(text, Origin.refusal)
      }
      assert.lengthOf(yield* emulator.messages("orders"), 1)
      assert.deepStrictEqual(yield* posted(emulator.port, "/reset", { origin: "http://localhost:3000" }), [
        200,
        "{\"messages\":1}"
      ])
    }).pipe(Effect.provide(Emulator.layerServer({ entities: [{ name: "orders" }], key: Redacted.make(key) }))))

  it.live("gets no WebSocket; one of this machine and a program do", () =>
    Effect.gen(function*() {
      const { port } = yield* Emulator.Emulator
      for (const origin of foreign.filter((each) => each !== "")) {
        assert.include(yield* dialed(port, { origin }), "403", origin)
      }
      for (
        const origin of ["http://localhost:3000", "https://[::1]:8443", "http://127.0.0.1", "http://app.localhost"]
      ) {
        assert.strictEqual(yield* dialed(port, { origin }), "open", origin)
      }
      assert.strictEqual(yield* dialed(port, {}), "open")
    }).pipe(Effect.provide(Emulator.layerServer({ entities: [] }))))

  it("is told by its host, which may be that of the broker", () => {
    assert.isFalse(Origin.isForeign({ host: "emulator:5672" }))
    // Python's WebSocket client says the host that it asks.
    assert.isFalse(Origin.isForeign({ host: "emulator:5672", origin: "http://emulator:5672" }))
    assert.isFalse(Origin.isForeign({ host: "Emulator.", origin: "https://emulator:8443" }))
    assert.isTrue(Origin.isForeign({ host: "emulator:5672", origin: "http://emulator.evil.example" }))
    assert.isTrue(Origin.isForeign({ origin: "http://evil.example" }))
    assert.isTrue(Origin.isForeign({ host: "", origin: "http://" }))
  })
})
