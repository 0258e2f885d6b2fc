/** A broker by itself: the entities that it is made of, and what its scope ends. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import * as Broker from "../../../src/emulator/broker/Broker.ts"
import type * as ServiceBusError from "../../../src/ServiceBusError.ts"
import * as ServiceBusRule from "../../../src/ServiceBusRule.ts"
import * as Settlement from "../../../src/Settlement.ts"
import { message, messages, ok, queueOf, refused, stored, Taker } from "../../support/broker.ts"
import { assert, describe, it } from "../../support/vitest.ts"

describe("Broker", () => {
  describe("make", () => {
    it.effect("finds queues by their path", () =>
      Effect.gen(function*() {
        const broker = yield* Broker.make([{ name: "Orders" }, { name: "a/b" }])
        const orders = broker.queue("orders")!
        assert.strictEqual(orders.path, "Orders")
        assert.strictEqual(orders.kind, "queue")
        assert.strictEqual(broker.queue("/ORDERS/"), orders)
        assert.strictEqual(broker.queue("a/b")!.path, "a/b")
        const dead = broker.queue("orders/$deadletterqueue")!
        assert.strictEqual(dead, orders.deadLetterQueue)
        assert.strictEqual(dead.path, "Orders/$DeadLetterQueue")
        assert.strictEqual(dead.kind, "deadLetter")
        assert.isUndefined(broker.queue("other"))
        assert.isUndefined(broker.queue("orders/$DeadLetterQueue/$DeadLetterQueue"))
        assert.deepStrictEqual(broker.queues().map((queue) => queue.path), ["Orders", "a/b"])
      }))

    it.effect("normalizes options", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual((yield* queueOf()).options, {
          lockDuration: 60_000,
          maxDeliveryCount: 10,
          defaultTimeToLive: undefined,
          deadLetteringOnExpiration: false,
          deadLetteringOnFilterError: true,
          duplicateDetectionWindow: undefined,
          requiresSession: false,
          maxSize: 1_073_741_824,
          maxMessageSize: 262_144,
          forwardTo: undefined,
          forwardDeadLetteredMessagesTo: undefined,
          status: "Active",
          autoDeleteOnIdle: undefined
        })
        const queue = yield* queueOf({ lockDuration: "30 seconds", defaultTimeToLive: "1 day" })
        assert.strictEqual(queue.options.lockDuration, 30_000)
        assert.strictEqual(queue.options.defaultTimeToLive, 86_400_000)
      }))

    const wrong: ReadonlyArray<readonly [string, ReadonlyArray<Broker.Entity>, RegExp]> = [
      ["a lock too short", [{ name: "q", options: { lockDuration: 999 } }], /"q": lockDuration .* 1 second/],
      ["a lock too long", [{ name: "q", options: { lockDuration: 300_001 } }], /"q": lockDuration .* 5 minutes/],
      ["no duration", [{ name: "q", options: { lockDuration: "x" as never } }], /"q": lockDuration/],
      ["no delivery", [{ name: "q", options: { maxDeliveryCount: 0 } }], /"q": maxDeliveryCount/],
      ["half a delivery", [{ name: "q", options: { maxDeliveryCount: 1.5 } }], /"q": maxDeliveryCount/],
      ["too many deliveries", [{ name: "q", options: { maxDeliveryCount: 2001 } }], /"q": maxDeliveryCount/],
      ["no time to live", [{ name: "q", options: { defaultTimeToLive: 0 } }], /"q": defaultTimeToLive/],
      ["no size", [{ name: "q", options: { maxSize: 0 } }], /"q": maxSize/],
      ["no message size", [{ name: "q", options: { maxMessageSize: -1 } }], /"q": maxMessageSize/],
      ["an empty name", [{ name: "/" }], /needs a name/],
      ["a name twice", [{ name: "q" }, { name: "Q/" }], /"Q" is declared twice/],
      ["a reserved name", [{ name: "q/$management" }], /begins with "\$"/],
      ...["a?b", "a#b", "a@b", "a*b", "a\\b", "a\u0000b", "a\ud800"].map((name) =>
        [`the name ${JSON.stringify(name)}`, [{ name }], /: a name is a well-formed text without/] as const
      ),
      ...["a/b", "a/Subscriptions/b", "s".repeat(51)].map((name) =>
        [
          `the subscription ${name}`,
          [{ kind: "topic", name: "t" }, { kind: "subscription", topic: "t", name }],
          /: the name of a subscription has at most 50 characters, and no "\/"$/
        ] as const
      ),
      ["a name that is no text", [{ name: 5 as never }], /a queue needs a name/],
      ["an entity that is none", [{ name: "q" }, undefined as never], /made by Emulator\.entity/],
      ["an entity of another kind", [{ kind: "exchange" as never, name: "q" }], /made by Emulator\.entity/],
      ...(["requiresSession", "deadLetteringOnExpiration"] as const).map((option) =>
        [
          `a text as ${option}`,
          [{ name: "q", options: { [option]: "no" as never } }],
          /must be true or false$/
        ] as const
      )
    ]
    for (const [name, entities, pattern] of wrong) {
      it.effect(`refuses ${name}`, () =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(Broker.make(entities))
          assert.strictEqual(error._tag, "EmulatorError")
          assert.match(error.problem, pattern)
        }))
    }
  })

  describe("create, update and delete", () => {
    const topology: ReadonlyArray<Broker.Entity> = [
      { name: "Orders" },
      { kind: "topic", name: "News" },
      { kind: "subscription", topic: "news", name: "Sport" }
    ]
    const tooMany = Array.from(
      { length: 2001 },
      (_, i) => ServiceBusRule.make(`r${i}`, ServiceBusRule.sql("a = 1"))
    )
    const refusals: ReadonlyArray<
      readonly [
        string,
        (broker: Broker.Broker) => Result.Result<unknown, ServiceBusError.EmulatorError>,
        ServiceBusError.EmulatorError["reason"]
      ]
    > = [
      ["what is there", (broker) => broker.create({ name: "ORDERS" }), "alreadyExists"],
      [
        "a topic with the name of a queue",
        (broker) => broker.create({ kind: "topic", name: "orders" }),
        "alreadyExists"
      ],
      [
        "a subscription that is there",
        (broker) => broker.create({ kind: "subscription", topic: "NEWS", name: "sport" }),
        "alreadyExists"
      ],
      [
        "a subscription without its topic",
        (broker) => broker.create({ kind: "subscription", topic: "other", name: "a" }),
        "notFound"
      ],
      [
        "a subscription of a queue",
        (broker) => broker.create({ kind: "subscription", topic: "orders", name: "a" }),
        "notFound"
      ],
      [
        "more filters than a topic has",
        (broker) => broker.create({ kind: "subscription", topic: "news", name: "a", options: { rules: tooMany } }),
        "quotaExceeded"
      ],
      ["a wrong option", (broker) => broker.create({ name: "a", options: { maxDeliveryCount: 0 } }), "invalid"],
      ["no options", (broker) => broker.update("orders", null as never), "invalid"],
      ["the update of what is no path", (broker) => broker.update(5 as never, {}), "notFound"],
      ["a wrong name", (broker) => broker.create({ name: "a/$b" }), "invalid"],
      ["a target that is not there", (broker) => broker.create({ name: "a", options: { forwardTo: "b" } }), "invalid"],
      ["a change of what is not there", (broker) => broker.update("other", {}), "notFound"],
      ["a wrong change", (broker) => broker.update("orders", { maxDeliveryCount: 0 }), "invalid"],
      ["a change that there is not", (broker) => broker.update("orders", { requiresSession: true }), "invalid"],
      ["a deletion of what is not there", (broker) => broker.delete("other"), "notFound"]
    ]
    it.effect.each(refusals)("%s is refused with the reason %s", ([, refuse, reason]) =>
      Effect.gen(function*() {
        const broker = yield* Broker.make(topology)
        const result = refuse(broker)
        assert.strictEqual(Result.isFailure(result) ? result.failure.reason : "taken", reason)
      }))

    it.effect("what is declared is read back, as it was changed last and as names are spelt", () =>
      Effect.gen(function*() {
        const broker = yield* Broker.make(topology)
        const declaration = broker.declaration("/news/subscriptions/SPORT/")!
        const { settings } = declaration
        assert.deepStrictEqual({ ...declaration, settings: undefined }, {
          kind: "subscription",
          path: "news/Subscriptions/Sport",
          name: "Sport",
          topic: "News",
          settings: undefined,
          createdAt: 0,
          updatedAt: 0
        })
        assert.strictEqual(settings.maxDeliveryCount, 10)
        yield* TestClock.adjust("1 second")
        Result.getOrThrow(
          broker.update("news/subscriptions/sport", { forwardTo: "ORDERS", deadLetteringOnExpiration: true })
        )
        const changed = broker.declaration("news/subscriptions/sport")!
        assert.deepStrictEqual(changed.settings, { ...settings, forwardTo: "Orders", deadLetteringOnExpiration: true })
        assert.deepStrictEqual([changed.createdAt, changed.updatedAt], [0, 1000])
        assert.deepStrictEqual(broker.declarations().map(({ kind, name }) => [kind, name]), [
          ["queue", "Orders"],
          ["topic", "News"],
          ["subscription", "Sport"]
        ])
        assert.isUndefined(broker.declaration("orders/$deadletterqueue"))
        Result.getOrThrow(broker.delete("news"))
        assert.deepStrictEqual(broker.declarations().map(({ name }) => name), ["Orders"])
      }))
  })

  describe("scope", () => {
    it.effect("closing ends the timer and every operation", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const queue = yield* queueOf({ defaultTimeToLive: "2 minutes" }).pipe(Scope.provide(scope))
        const taker = new Taker(queue, 1)
        ok(queue.send(messages("1", "2")))
        yield* Scope.close(scope, Exit.void)
        const counters = { ...queue.counters }
        yield* TestClock.adjust("1 hour")
        taker.grant(5)
        refused(queue.send(messages("3")), "EntityNotFound")
        refused(queue.settle(taker.last.lockToken, Settlement.complete), "EntityNotFound")
        refused(queue.release(taker.last.lockToken), "EntityNotFound")
        refused(queue.renew([taker.last.lockToken]), "EntityNotFound")
        assert.deepStrictEqual(new Taker(queue, 5).ids, [])
        assert.deepStrictEqual(taker.ids, ["1"])
        assert.deepStrictEqual(stored(queue), ["1", "2"])
        assert.deepStrictEqual({ ...queue.counters }, counters)
      }))

    it.effect("has one sleeper at most, and none after it closed", () =>
      Effect.gen(function*() {
        const clock = yield* Clock.Clock
        let sleepers = 0
        const counting: Clock.Clock = {
          currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
          currentTimeMillis: clock.currentTimeMillis,
          currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
          currentTimeNanos: clock.currentTimeNanos,
          monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
          monotonicTimeNanos: clock.monotonicTimeNanos,
          sleep: (duration) =>
            Effect.acquireUseRelease(
              Effect.sync(() => sleepers++),
              () => clock.sleep(duration),
              () => Effect.sync(() => sleepers--)
            )
        }
        const scope = yield* Scope.make()
        const queue = yield* queueOf().pipe(Scope.provide(scope), Effect.provideService(Clock.Clock, counting))
        assert.strictEqual(sleepers, 0)
        const taker = new Taker(queue, 20)
        for (let i = 20; i > 0; i--) {
          ok(queue.send([message(`${i}`, { ttl: i * 10_000 })]))
          assert.strictEqual(sleepers, 1)
          if (i % 2 === 0) ok(queue.settle(taker.last.lockToken, Settlement.complete))
          yield* TestClock.adjust("1 second")
        }
        assert.strictEqual(sleepers, 1)
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(sleepers, 0)
        ok(queue.send([message("last", { ttl: 1_000 })]))
        assert.strictEqual(sleepers, 1)
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(sleepers, 0)
      }))
  })
})
