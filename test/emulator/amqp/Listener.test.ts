/** The port for WebSocket: paths and sub-protocols of other clients. */
import { Effect } from "effect"
import * as Emulator from "effect-service-bus/emulator"
import { WebSocket } from "ws"
import { assert, describe, it } from "../../support/vitest.ts"

const Server = Emulator.layerServer({ entities: [Emulator.entity("letters")], webSocketPort: 0 })

describe("a WebSocket of another client", () => {
  const path = "/$servicebus/websocket"

  /** The sub-protocol that was agreed, what came first, or why there is no WebSocket. */
  const asking = (path: string, protocols: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const { certificate, webSocketPort } = yield* Emulator.Emulator
      return yield* Effect.callback<string>((resume) => {
        const socket = new WebSocket(`wss://localhost:${webSocketPort}${path}`, [...protocols], { ca: certificate })
        const end = (text: string) => {
          socket.terminate()
          resume(Effect.succeed(text))
        }
        socket.on("open", () => socket.send(Buffer.from("AMQP\x03\x01\x00\x00", "latin1")))
        // It speaks AMQP on it.
        socket.on("message", (data: Buffer) => end(`${socket.protocol} ${data.subarray(0, 4).toString()}`))
        socket.on("error", (error) => end(error.message))
      })
    })

  // .NET 7.21 asks with a slash and for "amqp"; Rust and Python's uamqp with a slash; the others without.
  it.live("is taken with and without a slash, under the sub-protocol that was asked for", () =>
    Effect.gen(function*() {
      for (const each of [path, `${path}/`, `${path}?sb-hc-action=connect`]) {
        for (const protocol of ["AMQPWSB10", "amqp"]) {
          assert.strictEqual(yield* asking(each, [protocol]), `${protocol} AMQP`)
        }
      }
      assert.strictEqual(yield* asking(path, ["mqtt", "amqp", "AMQPWSB10"]), "amqp AMQP")
    }).pipe(Effect.provide(Server)))

  it.live("is refused elsewhere, and under another sub-protocol", () =>
    Effect.gen(function*() {
      for (const each of ["/", "/$servicebus", `${path}/x`, `${path}//`]) {
        assert.match(yield* asking(each, ["AMQPWSB10"]), /400/)
      }
      assert.match(yield* asking(path, ["mqtt"]), /subprotocol/)
    }).pipe(Effect.provide(Server)))
})
