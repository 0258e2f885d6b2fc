/** The probes against the whole client and the whole broker, over TCP. */
import { Cause, Effect, Exit, Layer, Redacted } from "effect"
import {
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusEntity,
  ServiceBusError,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as net from "node:net"
import { until } from "../support/harness.ts"
import { begin, frame, frames, header, open, probes, real, saslHeader } from "../support/probes.ts"
import { assert, describe, it } from "../support/vitest.ts"

const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })

const roundTrip = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Letters)
  const receiver = yield* ServiceBusReceiver.make(Letters)
  yield* sender.send({ body: "still here" })
  const [message] = yield* receiver.receive()
  yield* receiver.complete(message!)
  return message!.body
}).pipe(Effect.scoped)

/** Connects, writes, and waits until the other side has closed. */
const poke = (port: number, parts: ReadonlyArray<Buffer>) =>
  Effect.callback<void>((resume) => {
    const socket = net.connect(port, "127.0.0.1", () => {
      for (const part of parts) socket.write(part)
    })
    socket.on("error", () => {})
    socket.resume()
    socket.on("close", () => resume(Effect.void))
    return Effect.sync(() => {
      socket.destroy()
    })
  })

describe("the broker", () => {
  it.live("closes on a peer that sends what no peer may, and serves all others", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      for (const [what, parts] of Object.entries(probes)) {
        const closed = yield* Effect.timeoutOption(poke(emulator.port, parts), "3 seconds")
        assert.strictEqual(closed._tag, "Some", `still open after ${what}`)
      }
      assert.strictEqual(yield* roundTrip, "still here")
      yield* until(Effect.map(emulator.connections, (count) => count === 0))
    }).pipe(Effect.provide(
      Emulator.layerClient.pipe(Layer.provideMerge(Emulator.layerServer({ entities: [Emulator.entity(Letters)] })))
    )))

  it.live(
    "closes on a peer that says nothing, or stops in the middle, within its handshake's time",
    () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const silent = [[], [saslHeader], [header], [header, open.subarray(0, 9)]]
        const closed = yield* Effect.forEach(
          silent,
          (parts) => Effect.timeoutOption(poke(emulator.port, parts), "8 seconds"),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(closed.map((option) => option._tag), silent.map(() => "Some"))
      }).pipe(Effect.provide(Emulator.layerServer({ entities: [] })))
  )

  it.live("listens nowhere where its host is empty: that would be everywhere", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.scoped(Layer.build(Emulator.layerServer({ host: "", entities: [] }))))
      assert.strictEqual(error.problem, "the host must be an address or a name")
    }))

  it.live("closes on malformed SASL: a mechanism that is a name of every object", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      for (const mechanism of ["constructor", "__proto__", "toString", "enable_plain", "EXTERNAL"]) {
        const init = frames.write_frame(frames.sasl_frame(frames.sasl_init({ mechanism })))
        const closed = yield* Effect.timeoutOption(poke(emulator.port, [saslHeader, init]), "3 seconds")
        assert.strictEqual(closed._tag, "Some", mechanism)
      }
      // The broker hears of the end of a socket a little later.
      yield* until(Effect.map(emulator.connections, (count) => count === 0))
    }).pipe(Effect.provide(Emulator.layerServer({ entities: [] }))))
})

/** A server that answers the handshake and then says what it is told, once. */
const server = (script: { readonly before?: ReadonlyArray<Buffer>; readonly after?: ReadonlyArray<Buffer> }) =>
  Effect.acquireRelease(
    Effect.callback<net.Server>((resume) => {
      const listening = net.createServer((socket) => {
        socket.on("error", () => {})
        if (script.before !== undefined) {
          for (const part of script.before) socket.write(part)
          return
        }
        const mechanisms = frames.sasl_frame(frames.sasl_mechanisms({ sasl_server_mechanisms: ["ANONYMOUS"] }))
        let step = 0
        socket.on("data", () => {
          step++
          if (step === 1) socket.write(Buffer.concat([saslHeader, frames.write_frame(mechanisms)]))
          else if (step === 2) socket.write(frames.write_frame(frames.sasl_frame(frames.sasl_outcome({ code: 0 }))))
          else if (step === 3) {
            socket.write(Buffer.concat([header, open]))
            for (const part of script.after ?? []) socket.write(part)
          }
        })
      }).listen(0, "127.0.0.1", () => resume(Effect.succeed(listening)))
    }),
    (listening) => Effect.sync(() => listening.close())
  ).pipe(Effect.map((listening) => (listening.address() as net.AddressInfo).port))

const clientOf = (port: number) =>
  Layer.orDie(ServiceBusClient.layerConnectionString(
    Redacted.make(
      `Endpoint=sb://127.0.0.1:${port};SharedAccessKeyName=a;SharedAccessKey=b;UseDevelopmentEmulator=true`
    ),
    { retry: { maxRetries: 0 }, operationTimeout: "1 second" }
  ))

describe("the client", () => {
  const fails = (script: Parameters<typeof server>[0], what: string) =>
    Effect.gen(function*() {
      const port = yield* server(script)
      const exit = yield* Effect.exit(Effect.timeout(Effect.provide(roundTrip, clientOf(port)), "3 seconds"))
      assert(Exit.isFailure(exit), what)
      const error = Cause.squash(exit.cause)
      assert.isTrue(ServiceBusError.isServiceBusError(error), `${what}: ${String(error)}`)
      return error as ServiceBusError.Any
    }).pipe(Effect.scoped)

  it.live(
    "fails typed on a peer that sends what no peer may at once",
    () => Effect.forEach(Object.entries(probes), ([what, parts]) => fails({ before: parts }, what), { concurrency: 8 })
  )

  it.live("fails typed on a peer that does so after the handshake", () =>
    Effect.gen(function*() {
      const late = Object.entries(probes).filter(([, [first]]) => first!.equals(header))
      assert.isAbove(late.length, 20)
      // A second open is what the handshake's own is followed by in many of them.
      const errors = yield* Effect.forEach(
        late,
        ([what, parts]) =>
          fails({ after: parts.slice(1).filter((part) => !part.equals(open) || parts.length > 2) }, what),
        { concurrency: 8 }
      )
      const seen = new Set(errors.map((error) => error._tag))
      assert.isTrue(seen.has("ServiceBusConnectionError"))
    }))

  it.live(
    "fails typed where the peer opens things by itself, and where it is not AMQP at all",
    () =>
      Effect.gen(function*() {
        const unsolicited = yield* fails({ after: [begin(0)] }, "an unsolicited begin")
        assert.match(unsolicited.message, /began a session by itself/)
        const http = yield* fails({ before: [Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")] }, "HTTP")
        assert.match(http.message, /AMQP 1\.0/)
        const closed = yield* fails({
          after: [real(frames.close({ error: { condition: "amqp:connection:forced", description: "go away" } }))]
        }, "a forced close")
        assert.include(closed.message, "go away")
        const silent = yield* fails({ before: [] }, "silence")
        assert.strictEqual(silent._tag, "OperationTimeoutError")
        const half = yield* fails({ after: [frame("0053").subarray(0, 9)] }, "half a frame")
        assert.strictEqual(half._tag, "OperationTimeoutError")
      })
  )
})
