import {
  ServiceBusAdministration,
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusRule,
  ServiceBusSender,
  ServiceBusTopology
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { failsWith, type Services } from "./support/harness.ts"
import { assert, describe, it } from "./support/vitest.ts"

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Sport = ServiceBusEntity.subscription(News, "sport")

const { apply, entity, format, isEmpty, plan } = ServiceBusTopology
const { make, sql } = ServiceBusRule

const declared = [
  // In an order that cannot be kept.
  entity(Sport, {
    forwardTo: Orders,
    maxDeliveryCount: 5,
    rules: [
      make("sport", ServiceBusRule.correlation({ subject: "sport" })),
      make("large", sql("size > @least", { least: 10 }))
    ]
  }),
  entity(Orders, {
    lockDuration: "30 seconds",
    forwardDeadLetteredMessagesTo: "errors",
    authorizationRules: [{ name: "app", rights: ["Send", "Listen"], primaryKey: Redacted.make("a2V5") }]
  }),
  Carts,
  News,
  "errors"
]

const test = (
  title: string,
  body: () => Effect.Effect<void, unknown, Services | Scope.Scope>,
  entities: Emulator.Options["entities"] = []
) => it.effect(title, () => Effect.suspend(body).pipe(Effect.scoped, Effect.provide(Emulator.layer({ entities }))))

describe("a topology", () => {
  test("is created in the order that forwarding asks for, and is then as it is declared", () =>
    Effect.gen(function*() {
      const first = yield* plan(declared)
      assert.strictEqual(
        format(first),
        [
          "emulator.localhost",
          "+ topic news",
          "+ queue errors",
          "+ queue orders: lockDuration 30s, forwardDeadLetteredMessagesTo errors, authorizationRules app (Listen Send)",
          "+ subscription news/Subscriptions/sport: forwardTo orders, maxDeliveryCount 5, rules sport, large",
          "+ queue carts: requiresSession true"
        ].join("\n")
      )
      assert.isFalse(isEmpty(first))
      yield* apply(first)
      const second = yield* plan(declared)
      assert.isTrue(isEmpty(second), format(second))
      assert.strictEqual(format(second), "emulator.localhost\nnothing to do")
      // The same plan again changes nothing: what it creates is there as it is declared.
      yield* apply(first)
      assert.isTrue(isEmpty(yield* plan(declared)))
      const sender = yield* ServiceBusSender.make(News)
      yield* sender.sendAll([{ body: "a", subject: "sport" }, { body: "b", subject: "weather" }])
      const receiver = yield* ServiceBusReceiver.make(Orders)
      assert.deepStrictEqual((yield* receiver.receive({ max: 5 })).map(({ body }) => body), ["a"])
    }))

  test("that forwards in a circle has its targets set last", () =>
    Effect.gen(function*() {
      const circle = [
        entity("a", { forwardDeadLetteredMessagesTo: "b", maxDeliveryCount: 3 }),
        entity("b", { forwardDeadLetteredMessagesTo: "c" }),
        entity("c", { forwardDeadLetteredMessagesTo: "a" })
      ]
      const { steps } = yield* plan(circle)
      assert.deepStrictEqual(steps.map((step) => `${step._tag} ${"path" in step ? step.path : ""}`), [
        "Create c",
        "Create b",
        "Create a",
        "Update c"
      ])
    }))

  test("that has changed is changed where it can be, setting by setting, and rule by rule", () =>
    Effect.gen(function*() {
      yield* apply(yield* plan(declared))
      const wanted = [
        entity("ORDERS", {
          lockDuration: "1 minute",
          maxDeliveryCount: 10,
          maxSize: 2 * 1024 ** 3,
          userMetadata: "ours"
        }),
        entity(Sport, {
          forwardTo: null,
          maxDeliveryCount: 5,
          rules: [
            make("large", sql("size > @least", { least: 20 }), ServiceBusRule.action("SET big = TRUE")),
            make("Sport", ServiceBusRule.correlation({ subject: "sport" })),
            make("new", ServiceBusRule.true)
          ]
        }),
        News,
        Carts,
        "errors"
      ]
      const changes = yield* plan(wanted)
      assert.strictEqual(
        format(changes),
        [
          "emulator.localhost",
          "~ queue ORDERS: lockDuration 30s -> 1m, maxSize 1 GiB -> 2 GiB, userMetadata none -> \"ours\"",
          "~ subscription news/Subscriptions/sport: forwardTo orders -> none",
          "~ rule news/Subscriptions/sport/Rules/large: size > @least -> size > @least; SET big = TRUE",
          "+ rule news/Subscriptions/sport/Rules/new: everything"
        ].join("\n")
      )
      yield* apply(changes)
      const after = yield* plan(wanted)
      assert.isTrue(isEmpty(after), format(after))
      const administration = yield* ServiceBusAdministration.ServiceBusAdministration
      const queue = Option.getOrThrow(yield* administration.getQueue(Orders))
      // What is not declared stays.
      assert.strictEqual(queue.forwardDeadLetteredMessagesTo, "errors")
      assert.deepStrictEqual(queue.authorizationRules.map(({ name }) => name), ["app"])
    }))

  test("with partitions has the size of one, where the service shows that of all", () =>
    Effect.gen(function*() {
      const wanted = [entity("parts", { enablePartitioning: true, maxSize: 2 * 1024 ** 3 })]
      yield* apply(yield* plan(wanted))
      const administration = yield* ServiceBusAdministration.ServiceBusAdministration
      const queue = Option.getOrThrow(yield* administration.getQueue("parts"))
      assert.strictEqual(queue.maxSize, 32 * 1024 ** 3)
      const after = yield* plan(wanted)
      assert.isTrue(isEmpty(after), format(after))
      const changed = yield* administration.updateQueue("parts", () => ({ maxDeliveryCount: 3 }))
      assert.strictEqual(changed.maxSize, queue.maxSize)
      const larger = yield* administration.updateQueue("parts", () => ({ maxSize: 3 * 1024 ** 3 }))
      assert.strictEqual(larger.maxSize, 48 * 1024 ** 3)
    }))

  test("that cannot be so says why, and then nothing at all is done", () =>
    Effect.gen(function*() {
      const administration = yield* ServiceBusAdministration.ServiceBusAdministration
      const wanted = [
        entity("carts", { requiresSession: true, maxDeliveryCount: 3 }),
        entity("orders", { duplicateDetectionWindow: "10 minutes", forwardTo: "nowhere" }),
        entity("far", { forwardTo: "sb://other.servicebus.windows.net/q" }),
        entity("missing/Subscriptions/s"),
        ServiceBusEntity.queue("news", { body: ServiceBusBody.text }),
        "new"
      ]
      const impossible = yield* plan(wanted)
      assert.deepStrictEqual(impossible.conflicts.map(({ path, setting }) => `${path} ${setting}`).toSorted(), [
        "carts requiresSession",
        "missing/Subscriptions/s topic",
        "news name",
        "orders duplicateDetectionWindow",
        "orders forwardTo"
      ])
      assert.include(
        format(impossible),
        "! queue carts: requiresSession is false and cannot be changed to true: delete the queue and create it again"
      )
      const error = yield* failsWith("InvalidOptionError")(apply(impossible))
      assert.match(error.message, /requiresSession is false and cannot be changed/)
      assert.isFalse(yield* administration.queueExists("new"))
      assert.strictEqual(Option.getOrThrow(yield* administration.getQueue("carts")).maxDeliveryCount, 10)
    }), [Emulator.entity("carts"), Emulator.entity("orders"), Emulator.entity(News)])

  test("deletes what it is told to, and nothing else", () =>
    Effect.gen(function*() {
      const administration = yield* ServiceBusAdministration.ServiceBusAdministration
      const wanted = [
        "orders",
        News,
        entity(Sport, { rules: [make("sport", ServiceBusRule.correlation({ subject: "sport" }))] })
      ]
      const careful = yield* plan(wanted)
      assert.deepStrictEqual(careful.unknown.map(({ path }) => path), [
        "news/Subscriptions/sport/Rules/$Default",
        "carts",
        "old",
        "news/Subscriptions/other",
        "archive"
      ])
      const asked: Array<string> = []
      const pruning = yield* plan(wanted, {
        prune: ({ kind, path }) => {
          asked.push(path)
          return kind === "rule" || path === "old" || path.endsWith("other")
        }
      })
      assert.deepStrictEqual(asked, careful.unknown.map(({ path }) => path))
      assert.strictEqual(
        format(pruning),
        [
          "emulator.localhost",
          "+ rule news/Subscriptions/sport/Rules/sport: subject = sport",
          "- rule news/Subscriptions/sport/Rules/$Default",
          "- queue old",
          "- subscription news/Subscriptions/other",
          "? queue carts",
          "? topic archive"
        ].join("\n")
      )
      // Another program deletes it meanwhile, or makes a topic of that name.
      yield* administration.deleteQueue("old")
      yield* administration.createTopic("old")
      yield* apply(pruning)
      assert.isTrue(yield* administration.topicExists("old"))
      const left = yield* Stream.runCollect(administration.listQueues)
      assert.deepStrictEqual(left.map(({ name }) => name), ["carts", "orders"])
      const rules = yield* Stream.runCollect(administration.listRules(Sport))
      assert.deepStrictEqual(rules.map(({ name }) => name), ["sport"])
      // What is declared needs it.
      const needed = yield* plan([entity("orders", { forwardTo: "carts" })], { prune: ({ path }) => path === "carts" })
      assert.deepStrictEqual(needed.conflicts.map(({ path, setting }) => [path, setting]), [["carts", "prune"]])
    }), [
    Emulator.entity("orders"),
    Emulator.entity("old"),
    Emulator.entity("carts"),
    Emulator.entity(News),
    Emulator.entity(Sport),
    Emulator.entity(ServiceBusEntity.subscription(News, "other")),
    Emulator.entity(ServiceBusEntity.topic("archive", { body: ServiceBusBody.bytes }))
  ])

  test("that another program makes meanwhile is as good, and no good where it is another", () =>
    Effect.gen(function*() {
      const administration = yield* ServiceBusAdministration.ServiceBusAdministration
      const wanted = [entity("orders", { maxDeliveryCount: 3 })]
      const mine = yield* plan(wanted)
      yield* administration.createQueue("orders", { maxDeliveryCount: 3, userMetadata: "theirs" })
      yield* apply(mine)
      yield* administration.updateQueue("orders", () => ({ maxDeliveryCount: 4 }))
      yield* failsWith("MessagingEntityAlreadyExistsError")(apply(mine))
    }))

  test("that another program has begun gets the rules that it lacks", () =>
    Effect.gen(function*() {
      const administration = yield* ServiceBusAdministration.ServiceBusAdministration
      const mine = yield* plan(declared)
      yield* administration.createTopic(News)
      yield* administration.createQueue("errors")
      yield* administration.createQueue(Orders, { lockDuration: "30 seconds", forwardDeadLetteredMessagesTo: "errors" })
      yield* failsWith("MessagingEntityAlreadyExistsError")(apply(mine))
      yield* administration.deleteQueue(Orders)
      yield* apply({
        ...mine,
        steps: mine.steps.filter((step) => step._tag === "Create" && step.kind !== "subscription")
      })
      yield* administration.createSubscription(Sport, {
        forwardTo: Orders,
        maxDeliveryCount: 5,
        rules: [make("sport", ServiceBusRule.correlation({ subject: "sport" }))]
      })
      yield* apply(mine)
      const after = yield* plan(declared)
      assert.isTrue(isEmpty(after), format(after))
    }))

  test("that several programs make at once is made once", () =>
    Effect.gen(function*() {
      const plans = yield* Effect.all([plan(declared), plan(declared), plan(declared)], { concurrency: 3 })
      yield* Effect.forEach(plans, apply, { concurrency: 3 })
      const after = yield* plan(declared)
      assert.isTrue(isEmpty(after), format(after))
    }))

  test("is the same in whatever way its values are written", () =>
    Effect.gen(function*() {
      const { fullyQualifiedNamespace } = yield* ServiceBusAdministration.ServiceBusAdministration
      const entities = [
        entity("a", { forwardTo: `sb://${fullyQualifiedNamespace}/b`, lockDuration: "30000500 micros" }),
        entity("b", { defaultTimeToLive: "20000000 days" })
      ]
      yield* Effect.flatMap(plan(entities), apply)
      const after = yield* plan(entities)
      assert.isTrue(isEmpty(after), format(after))
    }))

  test("that is declared wrongly is refused", () =>
    Effect.gen(function*() {
      for (
        const [entities, option] of [
          [["a", "A"], "entities"],
          [[""], "entities"],
          [[ServiceBusEntity.deadLetter(Orders)], "entities"],
          [5, "entities"],
          [[entity("a", { lockDuration: "never" as never })], "lockDuration"],
          [[entity("a", { rules: [] } as never)], "settings.rules"],
          [[entity(Sport, { rules: [make("", ServiceBusRule.true)] })], "rules[0].name"],
          [
            [entity(Sport, { rules: [make("a", ServiceBusRule.true), make("A", ServiceBusRule.true)] })],
            "rules[1].name"
          ],
          [[entity(Carts, { requiresSession: false } as never)], "requiresSession"],
          [[entity(Orders, { requiresSession: true } as never)], "requiresSession"],
          [["a/../b"], "entities"],
          [["orders/$DeadLetterQueue"], "entities"],
          [[ServiceBusEntity.queue("news/Subscriptions/sport", { body: ServiceBusBody.text })], "entities"]
        ] as const
      ) {
        const error = yield* failsWith("InvalidOptionError")(plan(entities as never))
        assert.strictEqual(error.option, option)
      }
      yield* failsWith("InvalidOptionError")(plan([], { prune: true as never }))
      const misspelt = yield* failsWith("InvalidOptionError")(plan([], { prunee: () => true } as never))
      assert.strictEqual(misspelt.option, "options.prunee")
    }))

  test("is applied only where it is a plan", () =>
    Effect.gen(function*() {
      const administration = yield* ServiceBusAdministration.ServiceBusAdministration
      const create = { _tag: "Create", kind: "queue", path: "a", settings: {} }
      for (const given of [undefined, 5, {}, { steps: 5, conflicts: [] }, { steps: [create, 5], conflicts: [] }]) {
        yield* failsWith("InvalidOptionError")(apply(given as never))
      }
      for (
        const step of [
          { _tag: "Rename" },
          { _tag: "Delete", kind: "rules", path: "a" },
          { _tag: "UpdateRule", subscription: "a" }
        ]
      ) {
        const unknown = yield* failsWith("InvalidOptionError")(apply({ steps: [create, step], conflicts: [] } as never))
        assert.strictEqual(unknown.option, "plan.steps[1]")
      }
      // Nothing was done.
      assert.isFalse(yield* administration.queueExists("a"))
    }))

  test(
    "whose messages would come back to where they come from is refused by name before anything is done",
    () =>
      Effect.gen(function*() {
        const administration = yield* ServiceBusAdministration.ServiceBusAdministration
        const cases = [
          [
            [entity("a", { forwardTo: "b" }), entity("b", { forwardTo: "c" }), entity("c", { forwardTo: "A" })],
            "a -> b -> c -> a"
          ],
          [[entity("a", { forwardTo: "a" })], "a -> a"],
          [
            [News, entity(Sport, { forwardTo: "b" }), entity("b", { forwardTo: News })],
            "news/subscriptions/sport -> b -> news -> news/subscriptions/sport"
          ],
          // By what is there, and is not declared.
          [[entity("a", { forwardTo: "there" })], "a -> there -> a"],
          [["a", entity("there", { forwardTo: null }), entity("b", { forwardTo: "b" })], "b -> b"]
        ] as const
        for (const [entities, way] of cases) {
          const { conflicts } = yield* plan(entities)
          assert.deepStrictEqual(conflicts.map(({ setting }) => setting), ["forwardTo"])
          assert.include(conflicts[0]!.reason, way)
          assert.match(
            (yield* failsWith("InvalidOptionError")(Effect.flatMap(plan(entities), apply))).message,
            /come from/
          )
        }
        assert.isFalse(yield* administration.queueExists("b"))
        const own = yield* plan([entity("a", { forwardDeadLetteredMessagesTo: "A" })])
        assert.deepStrictEqual(own.conflicts.map(({ setting }) => setting), ["forwardDeadLetteredMessagesTo"])
        const sessions = yield* plan([
          entity("sessions", { forwardTo: Carts }),
          Carts,
          // Not such a queue.
          entity("other", { requiresSession: true, forwardTo: "a" })
        ])
        assert.deepStrictEqual(sessions.conflicts.map(({ setting }) => setting), ["forwardTo"])
      }),
    [
      Emulator.entity("a"),
      Emulator.entity("there", { forwardTo: "a" }),
      Emulator.entity("sessions", { requiresSession: true })
    ]
  )

  test("whose forwarding turns round is changed without a circle in between", () =>
    Effect.gen(function*() {
      for (
        const wanted of [
          [entity("c", { forwardTo: "b" }), entity("b", { forwardTo: "a" }), entity("a", { forwardTo: null })],
          [entity("a", { forwardTo: "c" }), entity("c", { forwardTo: "b" }), entity("b", { forwardTo: null })],
          [entity("b", { forwardTo: "c" }), entity("c", { forwardTo: null }), entity("a", { forwardTo: "b" })]
        ]
      ) {
        yield* Effect.flatMap(plan(wanted), apply)
        const after = yield* plan(wanted)
        assert.isTrue(isEmpty(after), format(after))
      }
    }), [Emulator.entity("a", { forwardTo: "b" }), Emulator.entity("b", { forwardTo: "c" }), Emulator.entity("c")])
})
