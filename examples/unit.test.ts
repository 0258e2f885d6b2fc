// Unit tests of handlers: the real client and the real broker in memory, and a clock that passes when the test says so. Nothing
// waits, nothing listens. In a copy: `npm install -D vitest @effect/vitest`, then `npx vitest run unit.test.ts`.
import { assert, describe, it } from "@effect/vitest"
import { Context, Data, DateTime, Deferred, Effect, Layer, Option, Schema } from "effect"
import {
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusProcessor,
  ServiceBusSender,
  ServiceBusSession,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { TestClock } from "effect/testing"

// What is tested: in your program it stands in modules of its own.

const Order = Schema.Struct({ id: Schema.String, total: Schema.Finite })
const Orders = ServiceBusEntity.queue("orders", { body: Order })
const Receipts = ServiceBusEntity.queue("receipts", { body: ServiceBusBody.text })
const Carts = ServiceBusEntity.queue("carts", {
  body: ServiceBusBody.text,
  sessions: true,
  sessionState: Schema.Finite
})

class CardDeclined extends Data.TaggedError("CardDeclined") {}
class ProviderDown extends Data.TaggedError("ProviderDown") {}

class Cards extends Context.Service<Cards, {
  readonly charge: (order: typeof Order.Type) => Effect.Effect<void, CardDeclined | ProviderDown>
}>()("Cards") {}

/** Bills an order and sends a receipt. A card that is declined is for people; a provider that is down is tried again later. */
const bill = Effect.fn("bill")(
  function*(order: typeof Order.Type, receipts: ServiceBusSender.ServiceBusSender<string>) {
    const cards = yield* Cards
    yield* cards.charge(order)
    yield* receipts.send({ body: `${order.id}: ${order.total}`, messageId: `receipt-${order.id}` })
    return Settlement.complete
  },
  Effect.catchTags({
    CardDeclined: () => Effect.succeed(Settlement.deadLetter({ reason: "CardDeclined" })),
    ProviderDown: () => Effect.succeed(Settlement.retryAfter("10 minutes"))
  })
)

/** The worker. It runs until its scope closes: in these tests, until the test ends. */
const startBilling = Effect.gen(function*() {
  const receipts = yield* ServiceBusSender.make(Receipts)
  return yield* ServiceBusProcessor.make(Orders, (order) => bill(order, receipts), { concurrency: 4 })
})

/** Counts what is in each cart. */
const startCounting = ServiceBusProcessor.makeSessions(
  Carts,
  (_item, _message, session) =>
    Effect.flatMap(session.state, (count) => session.setState(Option.getOrElse(count, () => 0) + 1)).pipe(
      Effect.asVoid
    ),
  { concurrentSessions: 4, idleTimeout: "5 seconds" }
)

// The tests.

/**
 * A broker of its own for each test: what one leaves behind, the next one does not see. The clock waits for what a step wakes:
 * on a busy machine that may be over a second.
 */
const Broker = Emulator.layer({
  entities: [
    Emulator.entity(Orders, { lockDuration: "30 seconds" }),
    Emulator.entity(Receipts, { duplicateDetectionWindow: "10 minutes" }),
    Emulator.entity(Carts)
  ]
}).pipe(Layer.provideMerge(TestClock.layer({ warningDelay: "1 minute" })))

const accepting = Cards.of({ charge: () => Effect.void })

describe("billing", () => {
  it.effect("completes what is paid, and sends a receipt", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Orders, [{ body: { id: "1", total: 9.5 } }, { body: { id: "2", total: 3 } }])
      yield* startBilling
      yield* emulator.idle // nothing is on its way any more: the handlers are done
      assert.strictEqual((yield* emulator.counters(Orders)).completed, 2)
      assert.deepStrictEqual((yield* emulator.messages(Receipts)).map(({ body }) => body), ["1: 9.5", "2: 3"])
    }).pipe(Effect.scoped, Effect.provide(Broker), Effect.provideService(Cards, accepting)))

  it.effect("sends one receipt where the order comes twice", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Orders, [{ body: { id: "1", total: 9.5 } }, { body: { id: "1", total: 9.5 } }])
      yield* startBilling
      yield* emulator.idle
      assert.strictEqual((yield* emulator.counters(Orders)).completed, 2)
      assert.lengthOf(yield* emulator.messages(Receipts), 1)
    }).pipe(Effect.scoped, Effect.provide(Broker), Effect.provideService(Cards, accepting)))

  it.effect("puts what is declined aside, with the reason", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Orders, [{ body: { id: "1", total: 1_000_000 } }])
      yield* startBilling
      yield* emulator.idle
      const [letter] = yield* emulator.deadLetters(Orders)
      assert.strictEqual(letter?.deadLetterReason, "CardDeclined")
      assert.strictEqual(letter?.body.id, "1")
    }).pipe(
      Effect.scoped,
      Effect.provide(Broker),
      Effect.provideService(Cards, { charge: () => Effect.fail(new CardDeclined()) })
    ))

  it.effect("keeps the lock for as long as the provider takes", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const begun = yield* Deferred.make<void>()
      yield* emulator.send(Orders, [{ body: { id: "1", total: 9.5 } }])
      yield* startBilling.pipe(Effect.provideService(Cards, {
        charge: () => Deferred.succeed(begun, undefined).pipe(Effect.andThen(Effect.sleep("4 minutes")))
      }))
      yield* Deferred.await(begun) // what is to sleep must have begun before the clock moves
      yield* TestClock.adjust("4 minutes")
      yield* emulator.idle
      const { completed, lockExpired, renewed } = yield* emulator.counters(Orders)
      assert.deepStrictEqual({ completed, lockExpired }, { completed: 1, lockExpired: 0 })
      assert.isAbove(renewed, 0)
    }).pipe(Effect.scoped, Effect.provide(Broker)))

  it.effect("tries again ten minutes after the provider was down", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      let isDown = true
      yield* emulator.send(Orders, [{ body: { id: "1", total: 9.5 } }])
      yield* startBilling.pipe(Effect.provideService(Cards, {
        charge: () => Effect.suspend(() => isDown ? Effect.fail(new ProviderDown()) : Effect.void)
      }))
      yield* emulator.idle
      const [waiting] = yield* emulator.messages(Orders)
      assert.deepInclude(waiting, { state: "scheduled", retryAttempt: 1 })
      isDown = false
      yield* TestClock.adjust("9 minutes")
      yield* emulator.idle
      assert.lengthOf(yield* emulator.messages(Receipts), 0)
      yield* TestClock.adjust("1 minute")
      yield* emulator.idle
      assert.lengthOf(yield* emulator.messages(Receipts), 1)
    }).pipe(Effect.scoped, Effect.provide(Broker)))

  it.effect("never sees an order that does not decode: it is dead-lettered, and says why", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      // The same queue, by another contract: what a program with a mistake would send.
      const Wrong = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
      yield* emulator.send(Wrong, [{ body: `{ "id": "1", "total": "much" }` }])
      yield* startBilling
      yield* emulator.idle
      const [letter] = yield* emulator.deadLetters(Orders)
      assert.include(letter?.deadLetterErrorDescription, "total")
    }).pipe(Effect.scoped, Effect.provide(Broker), Effect.provideService(Cards, accepting)))

  it.effect("waits for an order that is scheduled for tomorrow", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Orders)
      const tomorrow = DateTime.add(yield* Emulator.now, { days: 1 })
      yield* sender.schedule({ body: { id: "1", total: 9.5 } }, tomorrow)
      yield* startBilling
      yield* emulator.idle
      assert.strictEqual((yield* emulator.counters(Orders)).completed, 0)
      yield* TestClock.adjust("1 day")
      yield* emulator.idle
      assert.strictEqual((yield* emulator.counters(Orders)).completed, 1)
    }).pipe(Effect.scoped, Effect.provide(Broker), Effect.provideService(Cards, accepting)))
})

describe("counting carts", () => {
  it.effect("counts each session by itself, and gives it up when it is idle", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Carts, [
        { body: "chair", sessionId: "ada" },
        { body: "lamp", sessionId: "ada" },
        { body: "table", sessionId: "bob" }
      ])
      yield* startCounting
      yield* emulator.idle
      yield* TestClock.adjust("5 seconds") // the sessions are free again
      yield* emulator.idle
      const countOf = (id: string) => ServiceBusSession.use(Carts, id, (session) => session.state)
      assert.deepStrictEqual([yield* countOf("ada"), yield* countOf("bob")], [Option.some(2), Option.some(1)])
    }).pipe(Effect.scoped, Effect.provide(Broker)))
})
