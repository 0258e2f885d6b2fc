/** What client and broker ask of the clock: how often, how exactly, and nothing for what is closed. */
import {
  AutoLockRenewer,
  ServiceBusBody,
  ServiceBusDeadLetters,
  ServiceBusEntity,
  ServiceBusError,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender,
  ServiceBusSession,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { linkOf, start, Texts } from "./support/harness.ts"
import { assert, describe, it } from "./support/vitest.ts"

const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })

const busy = { condition: "com.microsoft:server-busy", description: "wait" }

/** Runs under a TestClock that tells each wait that is asked of it, in milliseconds. */
const hearing = (hear: (millis: number) => void) => <A, Err, R>(program: Effect.Effect<A, Err, R>) =>
  Effect.flatMap(Clock.Clock, (clock) =>
    Effect.provideService(program, Clock.Clock, {
      ...clock,
      sleep: (duration) => {
        hear(Duration.toMillis(duration))
        return clock.sleep(duration)
      }
    }))

const broker = Emulator.layer({
  entities: [
    Emulator.entity(Texts, { lockDuration: "5000.3 millis", defaultTimeToLive: "3600000.7 millis" }),
    Emulator.entity(Carts, { lockDuration: "5000.3 millis" })
  ],
  idle: { link: "7777.7 millis", connection: "5555.5 millis" },
  client: { operationTimeout: "3000.3 millis", retry: { delay: "7.7 millis", maxDelay: "333.3 millis", maxRetries: 9 } }
})

const adjust = TestClock.adjust("90 seconds")

/** A program and what makes it wait. Each goes on until it ends or, where it has no end, for a while. */
const programs: ReadonlyArray<readonly [string, Effect.Effect<unknown, unknown, any>]> = [
  [
    "tries again",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Texts)
      yield* emulator.fail({ operation: "send", error: { condition: "amqp:internal-error" }, times: 7 })
      yield* sender.send({ body: "a" })
      yield* emulator.fail({ operation: "send", error: busy, times: 2 })
      yield* sender.send({ body: "b" })
    })
  ],
  [
    "tries again at the call site",
    Effect.gen(function*() {
      let tries = 0
      const advice = Duration.millis(1234.5)
      yield* Effect.retry(
        Effect.suspend(() =>
          tries++ < 3
            ? Effect.fail(
              new ServiceBusError.ServiceBusServerBusyError({ retryAfter: tries === 1 ? advice : Duration.zero })
            )
            : Effect.void
        ),
        ServiceBusError.retrySchedule
      )
    })
  ],
  [
    "waits for messages",
    Effect.gen(function*() {
      const receiver = yield* ServiceBusReceiver.make(Texts, { maxWait: "10000.1 millis" })
      yield* receiver.receive({ maxWait: "0.4 millis" })
      yield* receiver.receive({ max: 5, maxWait: "1000.5 millis", maxWaitAfterFirst: "7.7 millis" })
      yield* Stream.runDrain(receiver.messages)
    })
  ],
  [
    "renews locks",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Texts)
      const receiver = yield* ServiceBusReceiver.make(Texts, { renewalMargin: 0.37 })
      yield* sender.send({ body: "a" })
      const [message] = yield* receiver.receive()
      yield* Effect.forkScoped(Stream.runDrain(AutoLockRenewer.watchLock(receiver, message!)))
      yield* emulator.fail({ operation: "renew", error: { condition: "amqp:internal-error" }, times: 2 })
      yield* Effect.sleep("40 seconds").pipe(
        AutoLockRenewer.withLock(receiver, message!, { maxDuration: "30000.3 millis" }),
        Effect.ignore
      )
    })
  ],
  [
    "lingers",
    Effect.gen(function*() {
      const sender = yield* ServiceBusSender.make(Texts)
      yield* Stream.make({ body: "a" }, { body: "b" }).pipe(
        Stream.concat(Stream.never),
        Stream.run(sender.sink({ linger: "33.3 millis" }))
      )
    })
  ],
  [
    "processes",
    Effect.gen(function*() {
      const sender = yield* ServiceBusSender.make(Texts)
      const receiver = yield* ServiceBusReceiver.make(Texts)
      yield* sender.sendAll(["a", "b", "c"].map((body) => ({ body })))
      const processor = yield* ServiceBusProcessor.makeBatched(
        receiver,
        (messages) =>
          messages[0]!.retryAttempt < 2
            ? Effect.succeed(Settlement.retryAfter(Schedule.exponential("3.3 millis")))
            : Effect.never,
        { size: 50, within: "44.4 millis", drainTimeout: "555.5 millis", maxLockRenewal: "9999.9 millis" }
      )
      yield* Effect.sleep("20 seconds")
      yield* processor.drain
    })
  ],
  [
    "processes sessions",
    Effect.gen(function*() {
      const sender = yield* ServiceBusSender.make(Carts)
      yield* sender.sendAll(["a", "b", "c"].map((body) => ({ body, sessionId: body })))
      yield* ServiceBusSession.use(Carts, "a", (session) => session.receive(), { maxWait: "99.9 millis" })
      const processor = yield* ServiceBusProcessor.makeSessions(Carts, () => Effect.void, {
        idleTimeout: "77.7 millis",
        drainTimeout: "555.5 millis"
      })
      yield* Effect.sleep("20 seconds")
      yield* processor.drain
    })
  ],
  [
    "replays",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, ["a", "b", "c", "d", "e"].map((body) => ({ body })))
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const messages = yield* receiver.receive({ max: 5 })
      yield* Effect.forEach(messages, (message) => receiver.deadLetter(message))
      yield* ServiceBusDeadLetters.replay(Texts, { rate: 0.7 })
    })
  ]
]

const endless = new Set(["waits for messages", "lingers"])

describe("Waiting", () => {
  for (const [name, program] of programs) {
    it.effect(`nothing waits for a fraction of a millisecond: ${name}`, () => {
      const fractions: Array<number> = []
      return Effect.gen(function*() {
        const fiber = yield* Effect.forkScoped(program as Effect.Effect<unknown>, { startImmediately: true })
        for (let i = 0; i < 4; i++) yield* adjust
        yield* Fiber.interrupt(fiber)
        const exit = yield* Fiber.await(fiber)
        if (exit._tag === "Failure" && !endless.has(name)) yield* exit
        assert.deepStrictEqual(fractions, [])
      }).pipe(
        Effect.scoped,
        Effect.provide(broker),
        hearing((millis) => {
          if (Number.isFinite(millis) && !Number.isInteger(millis)) fractions.push(millis)
        })
      )
    })
  }

  it.effect("what was closed for being idle waits for nothing any more, on either side", () => {
    let waits = 0
    return Effect.gen(function*() {
      yield* ServiceBusSender.make(Texts)
      const emulator = yield* Emulator.Emulator
      // A link, its connection, and what was to be done about its token.
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* emulator.connections, 0)
      waits = 0
      yield* TestClock.adjust("30 days")
      assert.strictEqual(waits, 0)
    }).pipe(
      Effect.scoped,
      Effect.provide(
        Emulator.layer({ entities: [Emulator.entity(Texts)], idle: { link: "10 minutes", connection: "5 minutes" } })
      ),
      Effect.provide(Logger.layer([])),
      hearing(() => {
        waits++
      })
    )
  })
})

/** How often an effect's clock is asked for a wake. */
const counting = <A, E, R>(effect: (waits: () => number) => Effect.Effect<A, E, R>) =>
  Effect.clockWith((clock) => {
    let waits = 0
    const counted = Object.create(clock, {
      sleep: {
        value: (duration: Duration.Duration) => {
          waits++
          return clock.sleep(duration)
        }
      }
    }) as Clock.Clock
    return Effect.provideService(effect(() => waits), Clock.Clock, counted)
  })

describe("a month of virtual time", () => {
  it.effect("costs a waiting receiver no more than its tokens", () =>
    counting((waits) =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const worker = yield* ServiceBusReceiver.make(Texts)
        const sender = yield* ServiceBusSender.make(Texts)
        const link = linkOf(receiver)
        const processor = yield* ServiceBusProcessor.make(worker, () => Effect.void)
        yield* sender.schedule({ body: "a reminder" }, "30 days")
        yield* processor.pause
        const receiving = yield* start(receiver.receive({ maxWait: Duration.infinity }))
        yield* emulator.idle
        const before = waits()
        yield* TestClock.adjust("30 days")
        yield* emulator.idle
        const [message] = yield* Fiber.join(receiving)
        assert.strictEqual(message?.body, "a reminder")
        assert.strictEqual(linkOf(receiver), link)
        // A token lasts an hour and is replaced after 45 minutes: 960 times for each of the entity and its node. Heartbeats alone
        // would be 86,400.
        assert.isBelow(waits() - before, 8_000)
      }).pipe(Effect.scoped, Effect.provide(Emulator.layer({ entities: [Emulator.entity(Texts)] })))
    ))

  it.effect("of a broker that ends what is idle is that of the service, where it is asked to", () =>
    Effect.gen(function*() {
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const link = linkOf(receiver)
      yield* TestClock.adjust("9 minutes")
      assert.isUndefined(link.dead())
      yield* TestClock.adjust("1 minute")
      assert.include(link.dead()?.message, "IdleTimerExpired")
    }).pipe(
      Effect.scoped,
      Effect.provide(Emulator.layer({ entities: [Emulator.entity(Texts)], idle: { link: "10 minutes" } }))
    ))
})
