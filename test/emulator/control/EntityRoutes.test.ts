/** The entities at a glance: all of them, then what has changed, and at what cost. */
import { Effect, Schema } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSession } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { ask } from "../../support/controlApi.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })

const Carts = ServiceBusEntity.queue("carts", {
  body: ServiceBusBody.text,
  sessions: true,
  sessionState: ServiceBusBody.json(Schema.Struct({ step: Schema.Int }))
})

const broker = Emulator.layer({
  entities: [
    Emulator.entity("orders", { forwardTo: undefined, lockDuration: "30 seconds" }),
    Emulator.entity(News),
    Emulator.entity(ServiceBusEntity.subscription(News, "sport")),
    Emulator.entity("passing", { forwardTo: "orders" })
  ]
})

const look = (since?: string) =>
  Effect.map(ask("GET", since === undefined ? "/entities" : `/entities?since=${since}`), ({ json }) => ({
    ...json,
    paths: json.entities.map(({ path }: any) => path)
  }))

describe("the entities", () => {
  it.effect("are told of with their counts, and then what has changed alone", () =>
    Effect.gen(function*() {
      const first = yield* look()
      assert.isTrue(first.isWhole)
      assert.deepStrictEqual(first.paths, ["orders", "news", "passing", "news/Subscriptions/sport"])
      assert.strictEqual(first.entities[2].forwardTo, "orders")
      assert.notProperty(first.entities[0], "forwardTo")
      const again = yield* look(first.version)
      assert.deepInclude(again, { isWhole: false, paths: [], version: first.version })
      yield* ask("POST", "/messages?entity=news", [{}, { scheduledEnqueueTime: "2100-01-01T00:00:00Z" }])
      const changed = yield* look(first.version)
      assert.isFalse(changed.isWhole)
      assert.deepStrictEqual(changed.paths, ["news", "news/Subscriptions/sport"])
      assert.deepInclude(changed.entities[0], { kind: "topic", scheduled: 1, active: 0 })
      assert.deepInclude(changed.entities[1], { kind: "subscription", scheduled: 0, active: 1, enqueued: 1 })
      yield* ask("POST", "/messages/dead-letter?entity=news/Subscriptions/sport", { sequenceNumbers: ["1"] })
      // Whoever has an older version is told all that has changed since.
      assert.deepStrictEqual((yield* look(first.version)).paths, ["news", "news/Subscriptions/sport"])
      const last = yield* look(changed.version)
      assert.deepStrictEqual(last.paths, ["news/Subscriptions/sport"])
      assert.deepInclude(last.entities[0], { active: 0, deadLetter: 1, deadLettered: 1 })
    }).pipe(Effect.provide(broker)))

  it.effect("count what is received and deleted, which is no copy of a topic", () =>
    Effect.gen(function*() {
      yield* ask("POST", "/messages?entity=news", [{}, {}])
      const receiver = yield* ServiceBusReceiver.makeDestructive("news/Subscriptions/sport")
      assert.lengthOf(yield* receiver.receive({ max: 2 }), 2)
      const { entities } = yield* look()
      assert.deepInclude(entities[1], { path: "news", enqueued: 2, receivedAndDeleted: 0 })
      assert.deepInclude(entities[3], { enqueued: 2, completed: 0, receivedAndDeleted: 2, active: 0 })
    }).pipe(Effect.scoped, Effect.provide(Emulator.layerClient), Effect.provide(broker)))

  it.effect("are told as a whole where one is gone, and to those who have another broker's version", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const { version } = yield* look()
      yield* emulator.delete("passing")
      const after = yield* look(version)
      assert.deepInclude(after, { isWhole: true, paths: ["orders", "news", "news/Subscriptions/sport"] })
      assert.deepInclude(yield* look(after.version), { isWhole: false, paths: [] })
      assert.isTrue((yield* look("another.1")).isWhole)
      assert.isTrue((yield* look(`${after.version}9`)).isWhole)
    }).pipe(Effect.provide(broker)))

  it.effect("have settings and counters, of subscriptions with their rules", () =>
    Effect.gen(function*() {
      const { json } = yield* ask("GET", "/settings?entity=orders")
      assert.deepInclude(json.entity, { kind: "queue", name: "orders" })
      assert.strictEqual(json.entity.options.lockDuration, "PT30S")
      assert.strictEqual(json.counters.enqueued, 0)
      const sport = yield* ask("GET", "/settings?entity=news/Subscriptions/sport")
      assert.deepStrictEqual(sport.json.entity.rules, [{ name: "$Default", filter: "true" }])
      const dead = yield* ask("GET", "/settings?entity=orders/$DeadLetterQueue")
      assert.strictEqual(dead.status, 400)
      assert.strictEqual((yield* ask("GET", "/settings?entity=none")).status, 404)
    }).pipe(Effect.provide(broker)))

  it.effect("have sessions, by pages, with their messages, locks and states", () =>
    Effect.gen(function*() {
      yield* ask("POST", "/messages?entity=carts", [{ sessionId: "a" }, { sessionId: "b" }, { sessionId: "a" }])
      const session = yield* ServiceBusSession.accept(Carts, "a")
      yield* session.setState({ step: 1 })
      const { json } = yield* ask("GET", "/sessions?entity=carts")
      assert.deepStrictEqual(json.map(({ messages, sessionId, state }: any) => [sessionId, messages, state]), [
        ["a", 2, { json: { step: 1 } }],
        ["b", 1, undefined]
      ])
      assert.match(json[0].lockedUntil, /^\d{4}-/)
      assert.notProperty(json[1], "lockedUntil")
      const next = yield* ask("GET", "/sessions?entity=carts&after=a&max=1")
      assert.deepStrictEqual(next.json.map(({ sessionId }: any) => sessionId), ["b"])
      assert.match((yield* ask("GET", "/sessions?entity=orders")).json.message, /has no sessions/)
    }).pipe(
      Effect.scoped,
      Effect.provide(Emulator.layer({ entities: [Emulator.entity("orders"), Emulator.entity(Carts)] }))
    ))
})
