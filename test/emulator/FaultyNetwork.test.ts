/** What a client makes of a bad network: around the broker in memory, by virtual time, and around sockets. */
import { Context, Duration, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { TestClock } from "effect/testing"
import * as Transport from "../../src/internal/amqp/transport/Transport.ts"
import { failsWith, idsOf, passing, start, Texts, texts, until } from "../support/harness.ts"
import { assert, describe, it } from "../support/vitest.ts"

const entities = [Emulator.entity(Texts, { duplicateDetectionWindow: "10 minutes" })]

const once = { operationTimeout: "5 seconds", retry: { maxRetries: 0 } } as const

const inMemory = (options?: Emulator.FaultyNetworkOptions, client: Emulator.MemoryOptions["client"] = once) =>
  Emulator.layer({ entities, client }).pipe(Layer.provideMerge(Emulator.layerFaultyNetwork(options)))

const overTcp = (options?: Emulator.FaultyNetworkOptions) =>
  Emulator.layerClientOver("tcp", { operationTimeout: "5 seconds" }).pipe(
    Layer.provideMerge(Emulator.layerServer({ entities })),
    Layer.provideMerge(Emulator.layerFaultyNetwork(options))
  )

/** Runs what waits for nobody but time. */
const passingClock = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* start(effect)
    yield* until(Effect.suspend(() =>
      fiber.pollUnsafe() === undefined ? Effect.as(TestClock.adjust("1 second"), false) : Effect.succeed(true)
    ))
    return yield* Fiber.join(fiber)
  })

describe("a bad network", () => {
  it.effect("has latency, both ways", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const network = yield* Emulator.FaultyNetwork
      const sender = yield* ServiceBusSender.make(Texts)
      yield* network.set({ latency: "100 millis" })
      const sending = yield* start(sender.send({ body: "one" }))
      yield* emulator.idle
      yield* TestClock.adjust("99 millis")
      yield* emulator.idle
      assert.lengthOf(yield* emulator.messages(Texts), 0)
      yield* TestClock.adjust("1 millis")
      yield* emulator.idle
      assert.lengthOf(yield* emulator.messages(Texts), 1)
      yield* TestClock.adjust("99 millis")
      assert.isUndefined(sending.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(sending)
      yield* network.set({})
    }).pipe(Effect.scoped, Effect.provide(inMemory())))

  it.effect("keeps the order of bytes, whatever the jitter and the pieces", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const network = yield* Emulator.FaultyNetwork
      const sender = yield* passing(ServiceBusSender.make(Texts))
      const all = texts(20)
      yield* passing(Effect.forEach(all, (message) => sender.send(message), { concurrency: "unbounded" }), 10)
      assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), idsOf(all))
      yield* network.set({})
    }).pipe(Effect.scoped, Effect.provide(inMemory({ latency: 20, jitter: "100 millis", chunk: 7, seed: 3 }))))

  it.effect("lets so many bytes pass in a second", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const network = yield* Emulator.FaultyNetwork
      const sender = yield* ServiceBusSender.make(Texts)
      yield* network.set({ bytesPerSecond: 10_000 })
      const sending = yield* start(sender.send({ body: "x".repeat(20_000) }))
      yield* emulator.idle
      yield* TestClock.adjust("1999 millis")
      yield* emulator.idle
      assert.lengthOf(yield* emulator.messages(Texts), 0)
      yield* passing(Fiber.join(sending), 10)
      assert.lengthOf(yield* emulator.messages(Texts), 1)
      yield* network.set({})
    }).pipe(Effect.scoped, Effect.provide(inMemory())))

  it.effect("refuses connections, until it does not any more", () =>
    Effect.gen(function*() {
      const network = yield* Emulator.FaultyNetwork
      const refused = yield* ServiceBusSender.make(Texts).pipe(failsWith("ServiceBusCommunicationError"))
      assert.include(refused.message, "the network of the test")
      assert.strictEqual(yield* network.connections, 0)
      yield* network.set({})
      yield* ServiceBusSender.make(Texts)
      assert.strictEqual(yield* network.connections, 1)
    }).pipe(Effect.scoped, Effect.provide(inMemory({ refuse: true }))))

  it.effect("refuses with a probability, the same connections for the same seed", () =>
    Effect.gen(function*() {
      const refusedBy = (seed: number) =>
        Effect.forEach(
          Array.from({ length: 12 }),
          () => Effect.map(Effect.exit(Effect.scoped(ServiceBusSender.make(Texts))), Exit.isFailure)
        ).pipe(Effect.provide(Layer.fresh(inMemory({ refuse: 0.5, seed }))))
      const first = yield* refusedBy(5)
      assert.deepStrictEqual(yield* refusedBy(5), first)
      assert.include(first, true)
      assert.include(first, false)
      assert.notDeepEqual(yield* refusedBy(6), first)
    }))

  for (
    const loss of [{ after: { frames: [12, 30] } }, { after: { bytes: [5000, 15_000] }, how: "halfOpen" }] as const
  ) {
    it.effect(`loses connections again and again, and nothing that was sent: ${JSON.stringify(loss)}`, () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        for (const message of texts(15)) yield* sender.send(message)
        assert.deepStrictEqual(
          idsOf(yield* emulator.messages(Texts)).toSorted(),
          idsOf(texts(15)).toSorted()
        )
      }).pipe(
        Effect.scoped,
        Effect.provide(inMemory({ loss, seed: 1 }, { operationTimeout: "5 seconds", retry: { maxRetries: 20 } })),
        passingClock
      ))
  }

  it.effect("resets what is open, and says how many there were", () =>
    Effect.gen(function*() {
      const network = yield* Emulator.FaultyNetwork
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Texts)
      assert.strictEqual(yield* network.reset, 1)
      assert.strictEqual(yield* network.reset, 0)
      yield* emulator.idle
      yield* passing(sender.send({ body: "again" }))
      assert.strictEqual(yield* network.connections, 1)
    }).pipe(Effect.scoped, Effect.provide(inMemory())))

  it.effect("is half-open: the client finds out by itself", () =>
    Effect.gen(function*() {
      const network = yield* Emulator.FaultyNetwork
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Texts)
      assert.strictEqual(yield* network.halfOpen, 1)
      const error = yield* passing(sender.send({ body: "lost" })).pipe(failsWith("OperationTimeoutError"))
      assert.strictEqual(error.outcome, "unknown")
      assert.lengthOf(yield* emulator.messages(Texts), 0)
      yield* TestClock.adjust("5 minutes")
      yield* passing(sender.send({ body: "arrives" }))
      assert.lengthOf(yield* emulator.messages(Texts), 1)
    }).pipe(Effect.scoped, Effect.provide(inMemory())))

  for (const direction of ["up", "down", "both"] as const) {
    it.effect(`is silent for the time of a scope: ${direction}`, () =>
      Effect.gen(function*() {
        const network = yield* Emulator.FaultyNetwork
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const scope = yield* Scope.make()
        yield* Scope.provide(network.silence(direction), scope)
        const sending = yield* start(sender.send({ body: "late" }))
        yield* emulator.idle
        yield* TestClock.adjust("2 seconds")
        yield* emulator.idle
        assert.isUndefined(sending.pollUnsafe())
        assert.lengthOf(yield* emulator.messages(Texts), direction === "down" ? 1 : 0)
        yield* Scope.close(scope, Exit.void)
        yield* passing(Fiber.join(sending))
        assert.lengthOf(yield* emulator.messages(Texts), 1)
      }).pipe(Effect.scoped, Effect.provide(inMemory())))
  }

  it.effect("is silent to connections that are opened meanwhile, too", () =>
    Effect.gen(function*() {
      const network = yield* Emulator.FaultyNetwork
      yield* Effect.scoped(Effect.gen(function*() {
        yield* network.silence()
        yield* passing(ServiceBusSender.make(Texts)).pipe(failsWith("OperationTimeoutError"))
      }))
      yield* passing(ServiceBusSender.make(Texts))
    }).pipe(Effect.scoped, Effect.provide(inMemory())))

  it.effect("leaves no connection when its clients have gone, half-open ones neither", () =>
    Effect.gen(function*() {
      const network = yield* Emulator.FaultyNetwork
      yield* Effect.gen(function*() {
        yield* ServiceBusSender.make(Texts)
        yield* network.halfOpen
        assert.strictEqual(yield* network.connections, 1)
      }).pipe(Effect.scoped, Effect.provide(Emulator.layer({ entities })), passingClock)
      assert.strictEqual(yield* network.connections, 0)
    }).pipe(Effect.provide(Emulator.layerFaultyNetwork())))
})

describe("a connect through a bad network", () => {
  it.effect("is interrupted where the one beneath does not end", () =>
    Effect.gen(function*() {
      const silent = Layer.succeed(Transport.Transport, { connect: () => Effect.never })
      const network = yield* Layer.build(Layer.provide(Emulator.layerFaultyNetwork(), silent))
      // The network gives its clients the transport that they go through, which is none of its public type.
      const { connect } = yield* Effect.provideContext(
        Effect.service(Transport.Transport),
        network as Context.Context<unknown>
      )
      const connecting = yield* start(Effect.scoped(connect({ host: "localhost", port: 1, kind: "tcp" })))
      connecting.interruptUnsafe()
      yield* until(Effect.sync(() => connecting.pollUnsafe() !== undefined))
      assert.strictEqual(yield* Context.get(network, Emulator.FaultyNetwork).connections, 0)
    }).pipe(Effect.scoped))
})

describe("a bad network around sockets", () => {
  it.live("delays, cuts and loses connections, and nothing that was sent", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const network = yield* Emulator.FaultyNetwork
      const sender = yield* ServiceBusSender.make(Texts)
      for (const message of texts(10)) {
        yield* sender.send(message)
        if (message.messageId === "4") assert.strictEqual(yield* network.reset, 1)
      }
      assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)), idsOf(texts(10)))
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const received = yield* receiver.receive({ max: 10, maxWait: "2 seconds" })
      assert.isAbove(received.length, 0)
    }).pipe(
      Effect.scoped,
      Effect.provide(overTcp({ latency: "2 millis", jitter: "3 millis", chunk: 100, loss: { after: { frames: 60 } } }))
    ), 30_000)
})

describe("what is no network is refused, and it is said why", () => {
  const cases: ReadonlyArray<readonly [options: unknown, problem: RegExp]> = [
    [null, /Expected object/],
    [{ latency: -1 }, /finite duration of 0 or more.* at \["latency"\]/],
    [{ jitter: Duration.infinity }, /\["jitter"\]/],
    [{ latency: "soon" }, /\["latency"\]/],
    [{ bytesPerSecond: 0 }, /\["bytesPerSecond"\]/],
    [{ chunk: 1.5 }, /\["chunk"\]/],
    [{ refuse: 2 }, /\["refuse"\]/],
    [{ refuse: "yes" }, /\["refuse"\]/],
    [{ loss: {} }, /\["loss"\]\["after"\]/],
    [{ loss: { after: { frames: 0 } } }, /\["loss"\]\["after"\]/],
    [{ loss: { after: { frames: [3, 2] } } }, /least before the most/],
    [{ loss: { after: { frames: 1, bytes: 1 } } }, /\["loss"\]\["after"\]/],
    [{ loss: { after: { frames: 1 }, how: "badly" } }, /\["loss"\]\["how"\]/],
    [{ seed: "x" }, /\["seed"\]/],
    [{ delay: 1 }, /\["delay"\]/]
  ]
  for (const [options, problem] of cases) {
    it.effect(JSON.stringify(options), () =>
      Effect.gen(function*() {
        const given = options as Emulator.FaultyNetworkOptions
        const refused = yield* Layer.build(Emulator.layerFaultyNetwork(given)).pipe(
          Effect.scoped,
          failsWith("EmulatorError")
        )
        assert.match(refused.problem, problem)
        const later = yield* Effect.flatMap(Emulator.FaultyNetwork, (network) => network.set(given)).pipe(
          Effect.provide(Emulator.layerFaultyNetwork()),
          failsWith("EmulatorError")
        )
        assert.strictEqual(later.problem, refused.problem)
      }))
  }
})
