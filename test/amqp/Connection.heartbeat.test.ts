/** What keeps a connection that nothing is sent on: heartbeats, and a watchdog that does not blame its peer for its own sleep. */
import { ServiceBusReceiver } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import * as MemorySocket from "../../src/emulator/amqp/MemorySocket.ts"
import { passing as passingOf } from "../../src/internal/amqp/transport/Socket.ts"
import type { Transport } from "../../src/internal/amqp/transport/Transport.ts"
import { linkOf, Texts } from "../support/harness.ts"
import { assert, describe, it } from "../support/vitest.ts"

/** A network that is taken for a real one; what is written is noted. */
const remote = (written: Array<number>) => (transport: Transport): Transport => ({
  connect: (endpoint) =>
    Effect.map(transport.connect(endpoint), (socket) => ({
      ...passingOf(socket),
      isLocal: false,
      write: (bytes) => {
        written.push(bytes.length)
        return socket.write(bytes)
      }
    }))
})

const through = <A, E, R>(written: Array<number>, idleTimeout: Duration.Input, program: Effect.Effect<A, E, R>) =>
  program.pipe(
    Effect.scoped,
    Effect.provide(Emulator.layer({ entities: [Emulator.entity(Texts)], client: { idleTimeout } })),
    Effect.provideService(MemorySocket.Network, remote(written))
  )

describe("A connection that nothing is sent on", () => {
  const written: Array<number> = []

  it.effect("has heartbeats, empty frames", () =>
    through(
      written,
      "5 minutes",
      Effect.gen(function*() {
        yield* ServiceBusReceiver.make(Texts)
        const before = written.length
        yield* TestClock.adjust("5 minutes")
        const heartbeats = written.slice(before).filter((bytes) => bytes === 8)
        assert.isAtLeast(heartbeats.length, 1)
      })
    ))

  it.effect("is kept by a process that was asleep: what came meanwhile is read first", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      let asleep = 0n
      const wrapped = Object.create(clock) as { -readonly [K in keyof Clock.Clock]: Clock.Clock[K] }
      wrapped.monotonicTimeNanosUnsafe = () => clock.monotonicTimeNanosUnsafe() + asleep
      yield* through(
        [],
        "1 minute",
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const receiver = yield* ServiceBusReceiver.make(Texts, { prefetch: 1 })
          yield* TestClock.adjust("119 seconds")
          asleep = 200_000_000_000n
          yield* TestClock.adjust("2 seconds")
          yield* emulator.send(Texts, [{ body: "came meanwhile" }])
          yield* TestClock.adjust("30 seconds")
          assert.isUndefined(linkOf(receiver).dead())
        })
      ).pipe(Effect.provideService(Clock.Clock, wrapped))
    }))
})
