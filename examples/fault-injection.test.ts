// What a program does when something goes wrong: the broker in memory cuts connections and refuses operations when the test
// says so, and the clock is in the test's hand. In a copy: `npm install -D vitest @effect/vitest`, then
// `npx vitest run fault-injection.test.ts`.
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Duration, Effect, Fiber, Layer, Redacted } from "effect"
import {
  ConnectionString,
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusCredential,
  ServiceBusEntity,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { TestClock } from "effect/testing"

const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })

/** A broker of its own for each test. The clock waits for what a step wakes: on a busy machine that may be over a second. */
const Broker = Emulator.layer({
  entities: [
    Emulator.entity(Letters, {
      lockDuration: "30 seconds",
      maxDeliveryCount: 3,
      duplicateDetectionWindow: "10 minutes"
    })
  ]
}).pipe(Layer.provideMerge(TestClock.layer({ warningDelay: "1 minute" })))

/** Waits for a fact, while messages are on their way and seconds pass. */
const until = <E, R>(fact: Effect.Effect<boolean, E, R>) =>
  Effect.gen(function*() {
    const { idle } = yield* Emulator.Emulator
    yield* idle
    while (!(yield* fact)) {
      yield* TestClock.adjust("1 second")
      yield* idle
    }
  })

/** Runs an effect that waits (for a retry, or for the broker) while seconds pass. */
const passing = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    yield* until(Effect.sync(() => fiber.pollUnsafe() !== undefined))
    return yield* Fiber.join(fiber)
  })

describe("the service", () => {
  it.effect("is busy: a send is tried again when the service says so, and the caller hears nothing of it", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Letters)
      yield* emulator.fail({ operation: "send", error: { condition: "com.microsoft:server-busy" }, times: 2 })
      yield* passing(sender.send({ body: "patient" }))
      assert.lengthOf(yield* emulator.messages(Letters), 1)
    }).pipe(Effect.scoped, Effect.provide(Broker)))

  it.effect("throttles for a while: its advice comes with the error, for a program that tries again by itself", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Letters)
      yield* emulator.inject({ operation: "send", action: "throttle", retryAfter: "4 seconds" })
      const advice = yield* passing(
        sender.send({ body: "later" }).pipe(
          Effect.as("sent"),
          Effect.catchTag("ServiceBusServerBusyError", (error) => Effect.succeed(Duration.format(error.retryAfter)))
        )
      )
      assert.strictEqual(advice, "4s")
    }).pipe(Effect.scoped, Effect.provide(Broker)))

  it.effect("stores a letter and its answer is lost: it is sent again under its id, and is there once", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Letters)
      yield* emulator.fail({ operation: "send", action: "disconnect", when: "after" })
      yield* passing(sender.send({ body: "once" }))
      assert.lengthOf(yield* emulator.messages(Letters), 1)
      assert.strictEqual((yield* emulator.counters(Letters)).duplicates, 1)
    }).pipe(Effect.scoped, Effect.provide(Broker)))

  it.effect("stays busy: after the last retry the caller is told, with the advice", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Letters)
      yield* emulator.fail({ operation: "send", error: { condition: "com.microsoft:server-busy" }, times: 1000 })
      const kept = yield* passing(
        sender.send({ body: "given up" }).pipe(
          Effect.catchTag("ServiceBusServerBusyError", (error) => Effect.succeed(`tried ${error.attempts} times`))
        )
      )
      assert.strictEqual(kept, "tried 4 times")
    }).pipe(Effect.scoped, Effect.provide(Broker)))

  it.effect("has no room left: that is not tried again, and has an error of its own", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Letters)
      yield* emulator.fail({ operation: "send", error: { condition: "amqp:resource-limit-exceeded" } })
      const kept = yield* sender.send({ body: "one too many" }).pipe(
        Effect.catchTag("ServiceBusQuotaExceededError", () => Effect.succeed("kept for later"))
      )
      assert.strictEqual(kept, "kept for later")
    }).pipe(Effect.scoped, Effect.provide(Broker)))

  it.effect("is away for a minute: what was begun goes on when it is back", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const read: Array<string> = []
      const sender = yield* ServiceBusSender.make(Letters)
      yield* ServiceBusProcessor.make(Letters, (letter) => Effect.sync(() => void read.push(letter)))
      yield* sender.send({ body: "before" })
      yield* until(Effect.sync(() => read.length === 1))

      yield* emulator.stop
      yield* TestClock.adjust("1 minute")
      yield* emulator.start

      yield* passing(sender.send({ body: "after" }))
      yield* until(Effect.sync(() => read.length === 2))
      assert.deepStrictEqual(read, ["before", "after"])
    }).pipe(Effect.scoped, Effect.provide(Broker)))

  it.effect("stays away: a send fails with what is in the way, after its retries", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Letters)
      yield* emulator.stop
      yield* emulator.idle // the client has noticed
      const kept = yield* passing(
        sender.send({ body: "to nobody" }).pipe(
          Effect.catchTag("ServiceBusCommunicationError", () => Effect.succeed("kept for later"))
        )
      )
      assert.strictEqual(kept, "kept for later")
    }).pipe(Effect.scoped, Effect.provide(Broker)))

  it.effect("goes while a message is on its way: it may have arrived, and is sent again under its id", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Letters)
      const letter = { body: "once", messageId: "1" }
      yield* emulator.stop
      const error = yield* Effect.flip(passing(sender.send(letter)))
      assert.deepInclude(error, { _tag: "OperationTimeoutError", outcome: "unknown" })
      yield* emulator.start
      yield* passing(sender.send(letter))
      yield* passing(sender.send(letter)) // the queue detects duplicates
      assert.lengthOf(yield* emulator.messages(Letters), 1)
    }).pipe(Effect.scoped, Effect.provide(Broker)))
})

describe("the connection", () => {
  it.effect("is cut while a message is in work: it is settled on the next one", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const [reading, read] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      yield* emulator.send(Letters, [{ body: "long" }])
      yield* ServiceBusProcessor.make(
        Letters,
        () => Deferred.succeed(reading, undefined).pipe(Effect.andThen(Deferred.await(read)))
      )
      yield* Deferred.await(reading)

      yield* emulator.dropConnections
      yield* Deferred.succeed(read, undefined)

      yield* until(Effect.map(emulator.counters(Letters), ({ completed }) => completed === 1))
      // Nobody else was given it meanwhile.
      assert.strictEqual((yield* emulator.counters(Letters)).delivered, 1)
    }).pipe(Effect.scoped, Effect.provide(Broker)))

  it.effect("is cut again and again: everything that was sent is read", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const read = new Set<string>()
      const sender = yield* ServiceBusSender.make(Letters)
      yield* ServiceBusProcessor.make(Letters, (letter) => Effect.sync(() => void read.add(letter)))
      for (const letter of ["a", "b", "c", "d", "e"]) {
        yield* passing(sender.send({ body: letter }))
        yield* emulator.dropConnections
      }
      yield* until(Effect.sync(() => read.size === 5))
      yield* until(Effect.map(emulator.messages(Letters), ({ length }) => length === 0))
    }).pipe(Effect.scoped, Effect.provide(Broker)))
})

describe("the network", () => {
  it.effect("loses a connection after every 20 to 60 frames: everything that was sent is read", () =>
    Effect.gen(function*() {
      const read = new Set<string>()
      const sender = yield* passing(ServiceBusSender.make(Letters))
      yield* passing(ServiceBusProcessor.make(Letters, (letter) => Effect.sync(() => void read.add(letter))))
      for (const letter of ["a", "b", "c", "d", "e"]) yield* passing(sender.send({ body: letter }))
      yield* until(Effect.sync(() => read.size === 5))
    }).pipe(
      Effect.scoped,
      Effect.provide(
        Broker.pipe(Layer.provide(Emulator.layerFaultyNetwork({ loss: { after: { frames: [20, 60] } }, seed: 1 })))
      )
    ))
})

describe("the lock", () => {
  it.effect("is lost: the handler that held it is interrupted, and the message comes again", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const told: Array<string> = []
      const begun = yield* Deferred.make<void>()
      yield* emulator.send(Letters, [{ body: "slow" }])
      yield* ServiceBusProcessor.make(Letters, (_letter, message) =>
        message.deliveryCount === 0
          ? Deferred.succeed(begun, undefined).pipe(
            Effect.andThen(Effect.sleep("10 minutes")),
            Effect.onInterrupt(() => Effect.sync(() => told.push("interrupted")))
          )
          : Effect.sync(() => void told.push("read again")))
      yield* Deferred.await(begun)
      yield* emulator.fail({ operation: "renew", error: { condition: "com.microsoft:message-lock-lost" }, times: 1000 })
      yield* until(Effect.sync(() => told.length === 2))
      assert.deepStrictEqual(told, ["interrupted", "read again"])
    }).pipe(Effect.scoped, Effect.provide(Broker)))

  it.effect("is taken away while the message is in work: completing it says so, and it comes again", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Letters, [{ body: "taken" }])
      const receiver = yield* ServiceBusReceiver.make(Letters)
      const [letter] = yield* receiver.receive()
      assert.strictEqual(yield* emulator.loseLocks(Letters), 1)
      const error = yield* Effect.flip(receiver.complete(letter!))
      assert.strictEqual(error._tag, "MessageLockLostError")
      const [again] = yield* receiver.receive()
      assert.strictEqual(again?.deliveryCount, 1)
    }).pipe(Effect.scoped, Effect.provide(Broker)))

  it.effect("has ended before the message is settled: completing it says so", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Letters, [{ body: "forgotten" }])
      const receiver = yield* ServiceBusReceiver.make(Letters)
      const [letter] = yield* receiver.receive()
      yield* TestClock.adjust("31 seconds")
      const error = yield* Effect.flip(receiver.complete(letter!))
      assert.strictEqual(error._tag, "MessageLockLostError")
      assert.strictEqual((yield* emulator.messages(Letters))[0]?.state, "active")
    }).pipe(Effect.scoped, Effect.provide(Broker)))

  it.effect("is kept although a renewal fails: it is tried again within the lock's life", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const begun = yield* Deferred.make<void>()
      yield* emulator.send(Letters, [{ body: "slow" }])
      yield* ServiceBusProcessor.make(
        Letters,
        () => Deferred.succeed(begun, undefined).pipe(Effect.andThen(Effect.sleep("2 minutes")))
      )
      yield* Deferred.await(begun)
      yield* emulator.fail({ operation: "renew", error: { condition: "com.microsoft:server-busy" } })
      yield* until(Effect.map(emulator.counters(Letters), ({ completed }) => completed === 1))
      assert.strictEqual((yield* emulator.counters(Letters)).lockExpired, 0)
    }).pipe(Effect.scoped, Effect.provide(Broker)))
})

describe("the handler", () => {
  it.effect("fails each time: the message is dead-lettered after as many deliveries as the queue allows", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Letters, [{ body: "poison" }])
      yield* ServiceBusProcessor.make(Letters, () => Effect.fail("unreadable"))
      yield* until(Effect.map(emulator.deadLetters(Letters), ({ length }) => length === 1))
      const [letter] = yield* emulator.deadLetters(Letters)
      assert.strictEqual(letter?.deadLetterReason, "MaxDeliveryCountExceeded")
      assert.strictEqual((yield* emulator.counters(Letters)).delivered, 3)
    }).pipe(Effect.scoped, Effect.provide(Broker)))

  it.effect("has a bug: one message is put aside with what happened, the others are read", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Letters, [{ body: "fine" }, { body: "strange" }, { body: "fine too" }])
      yield* ServiceBusProcessor.make(
        Letters,
        (letter) => letter === "strange" ? Effect.die(new Error("no such page")) : Effect.void,
        {
          onFailure: (cause) =>
            Settlement.deadLetter({ reason: "HandlerFailed", description: String(Cause.squash(cause)) })
        }
      )
      yield* until(Effect.map(emulator.messages(Letters), ({ length }) => length === 0))
      const [letter] = yield* emulator.deadLetters(Letters)
      assert.strictEqual(letter?.deadLetterErrorDescription, "Error: no such page")
    }).pipe(Effect.scoped, Effect.provide(Broker)))

  it.effect("is done, and the settlement does not arrive: the message comes again, so that a handler must know it", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const counts: Array<number> = []
      yield* emulator.send(Letters, [{ body: "twice" }])
      yield* emulator.fail({ operation: "settle", error: { condition: "com.microsoft:message-lock-lost" } })
      yield* ServiceBusProcessor.make(
        Letters,
        (_letter, message) => Effect.sync(() => void counts.push(message.deliveryCount))
      )
      yield* until(Effect.sync(() => counts.length === 2))
      assert.deepStrictEqual(counts, [0, 1])
    }).pipe(Effect.scoped, Effect.provide(Broker)))
})

describe("the credential", () => {
  it.effect("is refused: a worker does not start, and says which right it lacks", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.fail({
        operation: "attach",
        error: { condition: "amqp:unauthorized-access", description: "'Listen' claim is required" },
        times: 1000
      })
      const error = yield* Effect.flip(passing(Effect.scoped(ServiceBusReceiver.make(Letters))))
      assert.strictEqual(error._tag, "ServiceBusAuthorizationError")
      assert.include(error.message, "Listen")
    }).pipe(Effect.provide(Broker)))

  // Policies are checked for real: here a client of its own, over a port, has the key of one that may only send.
  it.live("may send and not listen: one works, the other is an error of its own", () =>
    Effect.gen(function*() {
      const { connectionString } = yield* Emulator.Emulator
      const parsed = yield* ConnectionString.parse(connectionString)
      const Sending = ServiceBusClient.layerConnectionString(
        ConnectionString.format({
          ...parsed,
          credential: ServiceBusCredential.sharedKey({ name: "sending", key: "of the test" })
        })
      )
      const tag = yield* Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Letters)
        yield* sender.send({ body: "allowed" })
        return yield* ServiceBusReceiver.make(Letters).pipe(
          Effect.as("it may listen"),
          Effect.catchTag("ServiceBusAuthorizationError", (error) => Effect.succeed(error._tag))
        )
      }).pipe(Effect.scoped, Effect.provide(Sending))
      assert.strictEqual(tag, "ServiceBusAuthorizationError")
    }).pipe(Effect.provide(Emulator.layerServer({
      entities: [Emulator.entity(Letters)],
      policies: [{ name: "sending", key: Redacted.make("of the test"), rights: ["Send"] }]
    }))))
})
