/** The ports: paths and sub-protocols of WebSocket, and a port that is closed and opened again. */
import { Effect } from "effect"
import * as Emulator from "effect-service-bus/emulator"
import * as fs from "node:fs"
import * as net from "node:net"
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

describe("a port that is closed and opened again", () => {
  const table = "/proc/self/net/tcp"

  /** Whether something listens on a port. */
  const asked = (port: number) =>
    Effect.callback<string>((resume) => {
      const socket = net.connect({ host: "127.0.0.1", port })
      const end = (text: string) => {
        socket.destroy()
        resume(Effect.succeed(text))
      }
      socket.on("connect", () => end("connected"))
      socket.on("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message))
    })

  it.live("refuses meanwhile, and is the same one afterwards", () =>
    Effect.gen(function*() {
      const { port, start, stop } = yield* Emulator.Emulator
      assert.strictEqual(yield* asked(port!), "connected")
      for (let round = 0; round < 3; round++) {
        yield* stop
        yield* stop
        assert.strictEqual(yield* asked(port!), "ECONNREFUSED")
        yield* start
        assert.strictEqual(yield* asked(port!), "connected")
      }
    }).pipe(Effect.provide(Server)))

  // Whether the system would give the port to another program can be read on Linux only.
  it.live.runIf(fs.existsSync(table))(
    "is given to nobody meanwhile, and is free once the broker is gone",
    () =>
      Effect.gen(function*() {
        const isTaken = (port: number) =>
          fs.readFileSync(table, "latin1").split("\n").some((line) =>
            line.trim().split(/\s+/)[1]?.endsWith(`:${port.toString(16).toUpperCase().padStart(4, "0")}`)
          )
        const port = yield* Effect.gen(function*() {
          const { port, stop } = yield* Emulator.Emulator
          yield* stop
          assert.isTrue(isTaken(port!))
          return port!
        }).pipe(Effect.provide(Server))
        assert.isFalse(isTaken(port))
      })
  )
})
