/** Contracts of entities: their constructors, their sub-queues, and which names are refused. */
import * as Schema from "effect/Schema"
import * as ServiceBusBody from "../src/ServiceBusBody.ts"
import * as ServiceBusEntity from "../src/ServiceBusEntity.ts"
import { assert, describe, it } from "./support/vitest.ts"

const body = ServiceBusBody.json(Schema.Struct({ id: Schema.String }))

const Orders = ServiceBusEntity.queue("orders/eu", { body })
const Carts = ServiceBusEntity.queue("carts", { body, sessions: true })
const Events = ServiceBusEntity.topic("events", { body })
const Steps = ServiceBusEntity.topic("steps", { body, sessions: true })
const Audit = ServiceBusEntity.subscription(Events, "audit")
const Workers = ServiceBusEntity.subscription(Steps, "workers", { sessions: true })

describe("constructors", () => {
  it("make a queue", () => {
    assert.strictEqual(Orders._tag, "Queue")
    assert.strictEqual(Orders.name, "orders/eu")
    assert.strictEqual(Orders.path, "orders/eu")
    assert.strictEqual(Orders.body, body)
    assert.strictEqual(ServiceBusEntity.queue("a", { body, sessions: false })._tag, "Queue")
    assert.strictEqual(ServiceBusEntity.queue("a", { body, sessions: undefined })._tag, "Queue")
  })

  it("make a queue with sessions", () => {
    assert.strictEqual(Carts._tag, "SessionQueue")
    assert.strictEqual(Carts.path, "carts")
    assert.strictEqual(Carts.body, body)
  })

  it("make a topic", () => {
    assert.strictEqual(Events._tag, "Topic")
    assert.strictEqual(Events.name, "events")
    assert.strictEqual(Events.path, "events")
    assert.strictEqual(Events.body, body)
    assert.strictEqual(ServiceBusEntity.topic("a", { body, sessions: false })._tag, "Topic")
  })

  it("make a topic with sessions", () => {
    assert.strictEqual(Steps._tag, "SessionTopic")
    assert.strictEqual(Steps.path, "steps")
  })

  it("make a subscription, whose bodies are the topic's", () => {
    assert.strictEqual(Audit._tag, "Subscription")
    assert.strictEqual(Audit.topic, "events")
    assert.strictEqual(Audit.name, "audit")
    assert.strictEqual(Audit.path, "events/Subscriptions/audit")
    assert.strictEqual(Audit.body, body)
  })

  it("make a subscription and a sub-queue by a plain name, with bodies of bytes", () => {
    const bytes = ServiceBusEntity.topic("events", { body: ServiceBusBody.bytes })
    assert.deepStrictEqual(
      ServiceBusEntity.subscription("events", "audit"),
      ServiceBusEntity.subscription(bytes, "audit")
    )
    const options = { sessions: true } as const
    assert.deepStrictEqual(
      ServiceBusEntity.subscription("events", "audit", options),
      ServiceBusEntity.subscription(bytes, "audit", options)
    )
    const audit = ServiceBusEntity.deadLetter(ServiceBusEntity.subscription("events", "audit"))
    assert.deepStrictEqual(ServiceBusEntity.deadLetter("events/Subscriptions/audit"), audit)
    assert.isUndefined(ServiceBusEntity.problemOf(audit))
    assert.isString(ServiceBusEntity.problemOf(ServiceBusEntity.subscription("", "audit")))
    assert.isString(ServiceBusEntity.problemOf(ServiceBusEntity.transferDeadLetter("")))
  })

  it("make a subscription with sessions, of a topic of either kind", () => {
    assert.strictEqual(Workers._tag, "SessionSubscription")
    assert.strictEqual(Workers.path, "steps/Subscriptions/workers")
    assert.strictEqual(ServiceBusEntity.subscription(Events, "a", { sessions: true })._tag, "SessionSubscription")
    assert.strictEqual(ServiceBusEntity.subscription(Steps, "a")._tag, "Subscription")
    assert.strictEqual(ServiceBusEntity.subscription(Steps, "a", {})._tag, "Subscription")
    assert.strictEqual(ServiceBusEntity.subscription(Steps, "a", { sessions: false })._tag, "Subscription")
  })

  it("make a queue of bytes of a plain name", () => {
    const entity = ServiceBusEntity.named("orders")
    assert.strictEqual(entity._tag, "Queue")
    assert.strictEqual(entity.path, "orders")
    assert.strictEqual(entity.body, ServiceBusBody.bytes)
  })
})

describe("sub-queues", () => {
  it.each([
    [Orders, "orders/eu"],
    [Carts, "carts"],
    [Audit, "events/Subscriptions/audit"],
    [Workers, "steps/Subscriptions/workers"]
  ])("of %j stand under its path and have its bodies and no sessions", (entity, path) => {
    const dead = ServiceBusEntity.deadLetter(entity)
    assert.strictEqual(dead._tag, "SubQueue")
    assert.strictEqual(dead.of, path)
    assert.strictEqual(dead.path, `${path}/$DeadLetterQueue`)
    assert.strictEqual(dead.body, body)
    const transfer = ServiceBusEntity.transferDeadLetter(entity)
    assert.strictEqual(transfer._tag, "SubQueue")
    assert.strictEqual(transfer.of, path)
    assert.strictEqual(transfer.path, `${path}/$Transfer/$DeadLetterQueue`)
    assert.strictEqual(transfer.body, body)
    assert.isUndefined(ServiceBusEntity.problemOf(dead))
    assert.isUndefined(ServiceBusEntity.problemOf(transfer))
  })
})

describe("problemOf", () => {
  it.each([
    ["a"],
    ["7"],
    ["orders"],
    ["Orders-2024_eu.v1"],
    ["a/b/c"],
    ["a~b"],
    ["orders_"],
    ["a".repeat(260)]
  ])("finds nothing wrong with the queue and the topic %s", (name) => {
    for (const sessions of [true, false]) {
      const options = { body, sessions } as { readonly body: typeof body; readonly sessions: true }
      assert.isUndefined(ServiceBusEntity.problemOf(ServiceBusEntity.queue(name, options)))
      assert.isUndefined(ServiceBusEntity.problemOf(ServiceBusEntity.topic(name, options)))
    }
  })

  const characters = (what: string) =>
    `the name of the ${what} may have letters, digits, ".", "-", "_", "~" and inner "/" only`

  it.each([
    ["nothing", "", (what: string) => `the ${what} has no name`],
    ["no text", 42 as unknown as string, (what: string) => `the ${what} has no name`],
    ["undefined", undefined as unknown as string, (what: string) => `the ${what} has no name`],
    [
      "261 characters",
      "a".repeat(261),
      (what: string) => `the name of the ${what} has 261 characters, at most 260 are allowed`
    ],
    ["a space", "my orders", characters],
    ["a space at its end", "orders ", characters],
    ["a line feed at its end", "orders\n", characters],
    ["a control character", "or\u0000ders", characters],
    ["an umlaut", "größe", characters],
    ["a question mark", "orders?", characters],
    ["a hash", "orders#1", characters],
    ["an at sign", "orders@eu", characters],
    ["an asterisk", "orders*", characters],
    ["a backslash", "a\\b", characters],
    ["a percent sign", "a%2Fb", characters],
    ["a slash at its start", "/orders", characters],
    ["a slash at its end", "orders/", characters],
    ["two slashes", "a//b", characters],
    ["only a slash", "/", characters],
    ["only a dot", ".", characters],
    ["a dot at its start", ".orders", characters],
    ["a dot at its end", "orders.", characters],
    ["a hyphen at its start", "-orders", characters],
    [
      "a part that is a dot",
      "a/./b",
      (what: string) => `the name of the ${what} has "." or ".." for a part of its path`
    ],
    [
      "a part that is two dots",
      "a/../b",
      (what: string) => `the name of the ${what} has "." or ".." for a part of its path`
    ],
    ["the path of a dead-letter queue", "orders/$DeadLetterQueue", characters],
    ["the management node", "$management", characters],
    ["an address", "sb://contoso/orders", characters]
  ])("says what is wrong with a name of %s", (_, name, problem) => {
    assert.strictEqual(ServiceBusEntity.problemOf(ServiceBusEntity.queue(name, { body })), problem("queue"))
    assert.strictEqual(
      ServiceBusEntity.problemOf(ServiceBusEntity.queue(name, { body, sessions: true })),
      problem("queue")
    )
    const topic = ServiceBusEntity.topic(name, { body })
    assert.strictEqual(ServiceBusEntity.problemOf(topic), problem("topic"))
    assert.strictEqual(
      ServiceBusEntity.problemOf(ServiceBusEntity.topic(name, { body, sessions: true })),
      problem("topic")
    )
    assert.strictEqual(ServiceBusEntity.problemOf(ServiceBusEntity.subscription(topic, "audit")), problem("topic"))
    assert.strictEqual(
      ServiceBusEntity.problemOf(ServiceBusEntity.subscription(topic, "audit", { sessions: true })),
      problem("topic")
    )
  })

  it.each([
    ["nothing", "", "the subscription has no name"],
    [
      "51 characters",
      "a".repeat(51),
      "the name of the subscription has 51 characters, at most 50 are allowed"
    ],
    ["a slash", "a/b", "the name of the subscription may have letters, digits, \".\", \"-\", \"_\", \"~\" only"],
    ["a space", "a b", "the name of the subscription may have letters, digits, \".\", \"-\", \"_\", \"~\" only"]
  ])("says what is wrong with a subscription's name of %s", (_, name, problem) => {
    assert.strictEqual(ServiceBusEntity.problemOf(ServiceBusEntity.subscription(Events, name)), problem)
    assert.strictEqual(
      ServiceBusEntity.problemOf(ServiceBusEntity.subscription(Events, name, { sessions: true })),
      problem
    )
  })

  it("finds nothing wrong with a subscription of 50 characters", () => {
    assert.isUndefined(ServiceBusEntity.problemOf(ServiceBusEntity.subscription(Events, "a".repeat(50))))
  })

  it("finds nothing wrong with the sub-queue of the longest subscription", () => {
    const longest = ServiceBusEntity.subscription(
      ServiceBusEntity.topic("t".repeat(260), { body }),
      "s".repeat(50)
    )
    assert.isUndefined(ServiceBusEntity.problemOf(ServiceBusEntity.deadLetter(longest)))
  })

  it.each([
    ["", "the entity has no name"],
    ["a b", characters("entity")],
    ["/a", characters("entity")]
  ])("says what is wrong with a sub-queue of the queue %j", (name, problem) => {
    const entity = ServiceBusEntity.queue(name, { body })
    assert.strictEqual(ServiceBusEntity.problemOf(ServiceBusEntity.deadLetter(entity)), problem)
    assert.strictEqual(ServiceBusEntity.problemOf(ServiceBusEntity.transferDeadLetter(entity)), problem)
  })
})
