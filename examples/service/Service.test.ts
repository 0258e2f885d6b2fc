// How the service is tested: the broker in memory instead of Azure, other cards instead of the provider, and time that passes
// when the test says so. In a copy of the service: `npm install -D vitest @effect/vitest`, then `npx vitest run service`.
import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Option } from "effect"
import { ServiceBusSender, ServiceBusSession } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { TestClock } from "effect/testing"
import * as Billing from "./Billing.ts"
import * as Bus from "./Bus.ts"
import { Orders, Shipments } from "./Contracts.ts"
import * as Shipping from "./Shipping.ts"

/** The workers, until the test ends: then they drain. The cards charge as the test says. */
const start = (charge: Billing.Cards["Service"]["charge"]) =>
  Effect.all([
    Effect.forkScoped(Billing.run.pipe(Effect.provideService(Billing.Cards, { charge }))),
    Effect.forkScoped(Shipping.run)
  ])

/** Waits for a fact, for as long as messages are on their way between the workers and the broker. */
const until = <E, R>(fact: Effect.Effect<boolean, E, R>) =>
  Effect.flatMap(Emulator.Emulator, ({ idle }) => Effect.repeat(Effect.andThen(idle, fact), { until: Boolean }))

// One broker for all tests of the block, and one clock: they run one after the other.
layer(Bus.layerEmulator, { concurrent: false })("the service", (it) => {
  it.effect("ships what is paid, in order, and counts the customer's parcels", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* start(() => Effect.void)
      yield* emulator.send(Orders, ["1", "2"].map((id) => ({ body: { id, customer: "ada", total: 12 } })))
      yield* until(Effect.map(emulator.counters(Shipments), ({ completed }) => completed === 2))
      // The worker gives the session up when it has been idle for its time.
      yield* TestClock.adjust("10 seconds")
      const state = yield* ServiceBusSession.use(Shipments, "ada", (session) => session.state)
      assert.deepStrictEqual(state, Option.some(2))
    }))

  it.effect("bills and ships an order that is sent twice once", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const charged: Array<string> = []
      yield* start(({ id }) => Effect.sync(() => void charged.push(id)))
      const order = { messageId: "5", body: { id: "5", customer: "kim", total: 12 } }
      const before = yield* emulator.counters(Shipments)
      const sender = yield* ServiceBusSender.make(Orders)
      yield* sender.send(order)
      yield* sender.send(order)
      yield* until(Effect.map(emulator.counters(Shipments), ({ completed }) => completed === before.completed + 1))
      yield* emulator.idle
      assert.deepStrictEqual(charged, ["5"])
      assert.strictEqual((yield* emulator.counters(Shipments)).enqueued, before.enqueued + 1)
    }))

  it.effect("puts an order whose card is declined aside, with the reason", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* start(() => Effect.fail(new Billing.CardDeclined({ limit: 100 })))
      yield* emulator.send(Orders, [{ body: { id: "3", customer: "bob", total: 101 } }])
      yield* until(Effect.map(emulator.deadLetters(Orders), ({ length }) => length === 1))
      const [letter] = yield* emulator.deadLetters(Orders)
      assert.strictEqual(letter?.deadLetterReason, "CardDeclined")
      assert.strictEqual(letter?.deadLetterErrorDescription, "The limit is 100")
      assert.strictEqual(letter?.body.id, "3")
    }))

  it.effect("keeps its lock while the provider takes five minutes, which pass at once", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const before = yield* emulator.counters(Orders)
      const begun = yield* Deferred.make<void>()
      yield* start(() => Effect.andThen(Deferred.succeed(begun, undefined), Effect.sleep("5 minutes")))
      yield* emulator.send(Orders, [{ body: { id: "4", customer: "eve", total: 12 } }])
      // What is to sleep must have begun before the clock moves.
      yield* Deferred.await(begun)
      yield* TestClock.adjust("5 minutes")
      yield* until(Effect.map(emulator.counters(Orders), ({ completed }) => completed === before.completed + 1))
      const after = yield* emulator.counters(Orders)
      assert.isAbove(after.renewed, before.renewed)
      assert.strictEqual(after.lockExpired, 0)
    }))
})
