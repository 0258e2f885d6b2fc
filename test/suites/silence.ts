import { assert, describe, it } from "@effect/vitest"
import { ConnectionString, ServiceBusClient, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import * as net from "node:net"
import { failsWith, linkOf, overTcp, start, testsOf, Texts, texts, until } from "./harness.ts"

interface Proxy {
  readonly port: number
  /** How often the client has written. */
  readonly writes: () => number
  /** From now on nothing passes, in either direction, and nobody is told. */
  readonly freeze: () => void
  /** Half of what comes next from the broker passes, and then nothing any more. */
  readonly halve: () => void
  /** From now on nothing passes in one direction: to the broker, or from it; its heartbeats are made up. */
  readonly vanish: (direction: "up" | "down") => void
  /** New connections pass again; what was frozen stays so. */
  readonly thaw: () => void
}

const heartbeat = Buffer.from([0, 0, 0, 8, 2, 0, 0, 0])

/** Stands before the broker and falls silent after so many writes of the client. */
export const proxy = (target: number, after = Infinity) =>
  Effect.acquireRelease(
    Effect.callback<Proxy & { readonly close: () => void }>((resume) => {
      const sockets = new Set<net.Socket>()
      let writes = 0
      let line = { frozen: false, halved: false, up: false, down: false }
      const server = net.createServer((near) => {
        const mine = line
        const far = net.connect({ host: "127.0.0.1", port: target })
        for (const socket of [near, far]) {
          sockets.add(socket)
          socket.setNoDelay(true)
          socket.on("error", () => {})
        }
        near.on("data", (bytes) => {
          if (++writes > after) mine.frozen = true
          if (!mine.frozen && !mine.up) far.write(bytes)
        })
        far.on("data", (bytes) => {
          if (mine.frozen) return
          if (mine.down) return void near.write(heartbeat)
          near.write(mine.halved ? bytes.subarray(0, bytes.length >> 1) : bytes)
          mine.frozen = mine.halved
        })
        near.on("close", () => far.destroy())
        far.on("close", () => {
          if (!mine.frozen) near.destroy()
        })
      })
      server.listen(0, "127.0.0.1", () =>
        resume(Effect.succeed({
          port: (server.address() as net.AddressInfo).port,
          writes: () => writes,
          freeze: () => {
            line.frozen = true
          },
          halve: () => {
            line.halved = true
          },
          thaw: () => {
            line = { frozen: false, halved: false, up: false, down: false }
          },
          vanish: (direction) => {
            line[direction] = true
          },
          close: () => {
            for (const socket of sockets) socket.destroy()
            server.close()
          }
        })))
    }),
    ({ close }) => Effect.sync(close)
  )

export const through = Effect.fnUntraced(function*<A, E, R>(
  proxy: Proxy,
  effect: Effect.Effect<A, E, R>,
  options: ServiceBusClient.CommonOptions = { operationTimeout: "1500 millis", retry: { maxRetries: 0 } }
) {
  const emulator = yield* Emulator.Emulator
  const parsed = yield* ConnectionString.parse(emulator.connectionString)
  const client = yield* ServiceBusClient.fromConnectionString({ ...parsed, port: proxy.port }, options)
  return yield* Effect.provideService(effect, ServiceBusClient.ServiceBusClient, client)
})

export const suite = () =>
  describe("a peer that falls silent", () => {
    const { test } = testsOf("over TCP", overTcp)

    test("while something is made: whatever was asked last, it ends", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const program = Effect.gen(function*() {
          const sender = yield* ServiceBusSender.make(Texts)
          const receiver = yield* ServiceBusReceiver.make(Texts)
          yield* sender.send({ body: "" })
          // Nothing is known to be wrong where nothing comes.
          const [message] = yield* receiver.receive({ maxWait: "250 millis" })
          if (message === undefined) return "nothing came"
          yield* receiver.renewLock(message)
          return "done"
        })
        const all = yield* proxy(emulator.port)
        yield* Effect.scoped(through(all, program))
        const tags = yield* Effect.forEach(
          Array.from({ length: all.writes() }, (_, i) => i),
          Effect.fnUntraced(function*(after) {
            const silent = yield* proxy(emulator.port, after)
            const exit = yield* Effect.exit(Effect.scoped(through(silent, program)))
            // The last writes are those that close, when the work is done.
            if (Exit.isSuccess(exit)) return exit.value
            return (exit.cause.reasons[0] as { readonly error?: { readonly _tag: string } }).error?._tag
          }),
          { concurrency: "unbounded" }
        )
        const undone = tags.slice(0, tags.indexOf("done"))
        assert.isAtLeast(undone.length, 6)
        for (const tag of undone) assert.include(["OperationTimeoutError", "nothing came"], tag, String(tags))
      }), { timeout: 20_000 })

    test("in the middle of work: unknown where it was on the wire, nothing where nothing was asked", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(3))
        const silent = yield* proxy(emulator.port)
        yield* Effect.scoped(through(
          silent,
          Effect.gen(function*() {
            const sender = yield* ServiceBusSender.make(Texts)
            const receiver = yield* ServiceBusReceiver.make(Texts)
            const [a, b] = yield* receiver.receive({ max: 2 })
            silent.freeze()
            const results = yield* Effect.all([
              failsWith("OperationTimeoutError")(sender.send({ body: "" })),
              failsWith("OperationTimeoutError")(receiver.complete(a!)),
              failsWith("OperationTimeoutError")(receiver.renewLock(b!))
            ], { concurrency: 3 })
            assert.deepStrictEqual(
              results.map(({ outcome }) =>
                outcome
              ),
              ["unknown", "unknown", "unknown"]
            )
            assert.deepStrictEqual(yield* receiver.receive({ maxWait: "20 millis" }), [])
          })
        ))
        // And the broker is left by everybody.
        yield* until(Effect.map(emulator.connections, (connections) => connections === 0))
      }), { timeout: 20_000 })

    it.effect("with nothing asked of it: the connection is given up in two minutes", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const silent = yield* proxy(emulator.port)
        yield* Effect.scoped(through(
          silent,
          Effect.gen(function*() {
            const receiver = yield* ServiceBusReceiver.make(Texts)
            const link = linkOf(receiver)
            const fiber = yield* start(receiver.receive({ maxWait: Duration.infinity }))
            silent.freeze()
            yield* TestClock.adjust("119 seconds")
            assert.isUndefined(link.dead())
            silent.thaw()
            yield* TestClock.adjust("1 second")
            assert.strictEqual(link.dead()?._tag, "ServiceBusConnectionError")
            assert.include(link.dead()?.message, "said nothing")
            // The one who waits waits on a new connection.
            yield* until(Effect.sync(() =>
              linkOf(receiver) !== link
            ))
            yield* emulator.send(Texts, texts(1))
            assert.lengthOf(yield* Fiber.join(fiber), 1)
          })
        ))
      }).pipe(Effect.scoped, Effect.provide(overTcp({ entities: [Emulator.entity(Texts)] }))))

    for (const direction of ["up", "down"] as const) {
      it.effect(`while its heartbeats still come, ${direction}: a connection that answers nothing is given up`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const silent = yield* proxy(emulator.port)
          yield* Effect.scoped(through(
            silent,
            Effect.gen(function*() {
              const sender = yield* ServiceBusSender.make(Texts)
              const receiver = yield* ServiceBusReceiver.make(Texts, { prefetch: 100 })
              yield* sender.send({ body: "before" })
              const link = linkOf(sender)
              silent.vanish(direction)
              const fiber = yield* start(sender.send({ body: "after" }))
              for (let seconds = 0; seconds < 60; seconds += 10) {
                // What credit of long ago lets come answers nothing.
                yield* emulator.send(Texts, texts(1, seconds))
                yield* TestClock.adjust("10 seconds")
              }
              assert.strictEqual((yield* failsWith("OperationTimeoutError")(Fiber.join(fiber))).outcome, "unknown")
              assert.isUndefined(link.dead())
              silent.thaw()
              yield* TestClock.adjust("29 seconds")
              assert.isUndefined(link.dead())
              yield* TestClock.adjust("1 second")
              assert.include(link.dead()?.message, "answered nothing")
              // All go on, on another connection.
              yield* until(Effect.as(sender.send({ body: "again" }), true))
              assert.isAtLeast((yield* receiver.receive({ max: 3 })).length, 1)
            }),
            { operationTimeout: "1 minute", retry: { maxRetries: 0 } }
          ))
        }).pipe(Effect.scoped, Effect.provide(overTcp({ entities: [Emulator.entity(Texts)] }))))
    }

    it.effect("one that is slow to answer is asked, and keeps its connection", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const silent = yield* proxy(emulator.port)
        yield* Effect.scoped(through(
          silent,
          Effect.gen(function*() {
            const sender = yield* ServiceBusSender.make(Texts)
            const link = linkOf(sender)
            const { connection } = link
            const sessions = Object.keys(connection.rhea.local_channel_map).length
            const heard = connection.heard()
            // As if something had been asked, and nothing had come since.
            connection.doubt(heard)
            yield* until(Effect.sync(() => connection.heard() === heard + 2))
            // It has begun a session and ended it.
            yield* until(Effect.sync(() => Object.keys(connection.rhea.local_channel_map).length === sessions))
            yield* TestClock.adjust("31 seconds")
            assert.isUndefined(link.dead())
          })
        ))
      }).pipe(Effect.scoped, Effect.provide(overTcp({ entities: [Emulator.entity(Texts)] }))))
  })
