/**
 * What frameworks ask for when they start, in their order (seen of them, built from their public sources, over .NET's client):
 * MassTransit, Rebus, Wolverine, DurableTask and the health checks. What they have made carries messages.
 */
import { Effect } from "effect"
import * as AtomXml from "../../../src/internal/administration/AtomXml.ts"
import { message, ok } from "../../support/broker.ts"
import { managementApi, tokenOf } from "../../support/managementApi.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const host = "127.0.0.1:5672"

/** A body as .NET's client writes it: indented, without a declaration. */
const entry = (name: string, elements: Readonly<Record<string, string>>, inner = ""): string =>
  [
    `<entry xmlns="${AtomXml.atom}">`,
    "  <content type=\"application/xml\">",
    `    <${name} xmlns="${AtomXml.connect}">`,
    ...Object.entries(elements).map(([element, text]) => `      <${element}>${text}</${element}>`),
    inner,
    `    </${name}>`,
    "  </content>",
    "</entry>"
  ].filter((line) => line !== "").join("\n")

const queue = (elements: Readonly<Record<string, string>> = {}) =>
  entry("QueueDescription", {
    LockDuration: "PT1M",
    MaxSizeInMegabytes: "1024",
    RequiresDuplicateDetection: "false",
    RequiresSession: "false",
    DeadLetteringOnMessageExpiration: "false",
    MaxDeliveryCount: "10",
    EnableBatchedOperations: "true",
    IsAnonymousAccessible: "false",
    AuthorizationRules: "",
    Status: "Active",
    EnablePartitioning: "false",
    EnableExpress: "false",
    ...elements
  })

const topic = entry("TopicDescription", {
  MaxSizeInMegabytes: "1024",
  RequiresDuplicateDetection: "false",
  EnableBatchedOperations: "true",
  FilteringMessagesBeforePublishing: "false",
  IsAnonymousAccessible: "false",
  AuthorizationRules: "",
  Status: "Active",
  SupportOrdering: "false",
  EnablePartitioning: "false",
  EnableSubscriptionPartitioning: "false",
  EnableExpress: "false"
})

const subscription = (target: string) =>
  entry(
    "SubscriptionDescription",
    {
      LockDuration: "PT1M",
      RequiresSession: "false",
      DeadLetteringOnMessageExpiration: "false",
      DeadLetteringOnFilterEvaluationExceptions: "true",
      MaxDeliveryCount: "10",
      EnableBatchedOperations: "true",
      Status: "Active",
      ForwardTo: `http://127.0.0.1/${target}`
    },
    `      <DefaultRuleDescription>
        <Filter p5:type="TrueFilter" xmlns:p5="${AtomXml.instance}">
          <SqlExpression>1=1</SqlExpression>
          <Parameters />
        </Filter>
        <Name>$Default</Name>
      </DefaultRuleDescription>`
  )

const supplementary = { servicebussupplementaryauthorization: tokenOf("https://127.0.0.1/") }

/** A broker, and what .NET's client makes of its answers: whether something is there, and whether it was created. */
const framework = Effect.map(managementApi(host), (ask) => {
  const exists = (path: string, enrich = "False") =>
    Effect.map(ask("GET", `/${path}?api-version=2024-05&enrich=${enrich}`), ({ body, status }) => {
      assert.include([200, 404], status)
      return status === 200 && body.startsWith("<entry")
    })
  const create = (path: string, body: string, headers: Readonly<Record<string, string>> = {}) =>
    Effect.map(
      ask("PUT", `/${path}?api-version=2024-05`, body, { "content-type": "application/atom+xml", ...headers }),
      ({ status }) => {
        assert.strictEqual(status, 201, path)
      }
    )
  /** Asks first, and creates what is not there. */
  const ensure = (path: string, body: string, headers?: Readonly<Record<string, string>>) =>
    Effect.flatMap(exists(path), (isThere) => isThere ? Effect.void : create(path, body, headers))
  const count = (path: string) => ask.broker.queue(path)!.messages().length
  return { ask, broker: ask.broker, exists, create, ensure, count }
})

describe("a framework starts, and its messages arrive", () => {
  it.effect("MassTransit: topics of message types, a queue, and subscriptions that forward to it", () =>
    Effect.gen(function*() {
      const { broker, count, ensure, exists } = yield* framework
      const topics = [
        "Company.Orders/OrderSubmitted",
        "MassTransit/Fault--Company.Orders/OrderSubmitted--",
        "MassTransit/Fault"
      ]
      for (const name of topics) yield* ensure(name, topic)
      yield* ensure("submit-order", queue({ AutoDeleteOnIdle: "P427D", DefaultMessageTimeToLive: "P365DT1H" }))
      yield* ensure(
        "Company.Orders/OrderSubmitted/Subscriptions/submit-order",
        subscription("submit-order"),
        supplementary
      )
      assert.isTrue(yield* exists("submit-order"))
      // Topics forward to each other, too.
      yield* ensure(`${topics[1]}/Subscriptions/fault-of-all`, subscription(topics[2]!), supplementary)
      yield* ensure("submit-order_error", queue())
      yield* ensure("MassTransit/Fault/Subscriptions/errors", subscription("submit-order_error"), supplementary)
      ok(broker.queue("company.orders/ordersubmitted")!.send([message("order")]))
      ok(broker.queue(topics[1]!)!.send([message("fault")]))
      assert.deepStrictEqual([count("submit-order"), count("submit-order_error")], [1, 1])
    }).pipe(Effect.scoped))

  it.effect("Rebus: an input queue, an error queue, and a topic of an assembly's type", () =>
    Effect.gen(function*() {
      const { broker, count, create, exists } = yield* framework
      assert.isFalse(yield* exists("my-Input.Queue"))
      yield* create("my-Input.Queue", queue({ LockDuration: "PT5M", MaxDeliveryCount: "100" }))
      assert.isTrue(yield* exists("my-input.queue"))
      assert.isFalse(yield* exists("error"))
      yield* create("error", queue())
      assert.isFalse(yield* exists("MyApp.Messages/MyApp.Messages.OrderPlaced"))
      yield* create("MyApp.Messages/MyApp.Messages.OrderPlaced", topic)
      const path = "MyApp.Messages/MyApp.Messages.OrderPlaced/Subscriptions/my-Input.Queue"
      assert.isFalse(yield* exists(path))
      yield* create(path, subscription("my-Input.Queue"), supplementary)
      ok(broker.queue("myapp.messages/myapp.messages.orderplaced")!.send([message("placed")]))
      assert.strictEqual(count("my-Input.Queue"), 1)
    }).pipe(Effect.scoped))

  it.effect("Wolverine: queues for itself, with a minus after a dot", () =>
    Effect.gen(function*() {
      const { count, ensure, exists } = yield* framework
      const names = [
        "wolverine.response.Service.-1596730414",
        "wolverine.retries.service",
        "wolverine-dead-letter-queue"
      ]
      for (const name of names) yield* ensure(name, queue({ AutoDeleteOnIdle: "PT1H" }))
      for (const name of names) assert.isTrue(yield* exists(name), name)
      assert.strictEqual(count(names[0]!), 0)
    }).pipe(Effect.scoped))

  it.effect("DurableTask: queues with sessions and duplicate detection, created without a question", () =>
    Effect.gen(function*() {
      const { broker, create } = yield* framework
      const detecting = { RequiresDuplicateDetection: "true", DuplicateDetectionHistoryTimeWindow: "PT4H" }
      yield* create("hub/orchestrator", queue({ RequiresSession: "true", ...detecting }))
      yield* create("hub/worker", queue(detecting))
      assert.deepInclude(broker.declaration("hub/orchestrator")!.settings, {
        requiresSession: true,
        duplicateDetectionWindow: 14_400_000
      })
    }).pipe(Effect.scoped))

  it.effect("health checks: runtime properties of what is there, and of what is not", () =>
    Effect.gen(function*() {
      const { create, exists } = yield* framework
      yield* create("orders", queue())
      yield* create("news", topic)
      for (const path of ["orders", "news"]) assert.isTrue(yield* exists(path, "True"))
      for (const path of ["nope", "news/Subscriptions/nope"]) assert.isFalse(yield* exists(path, "True"))
    }).pipe(Effect.scoped))
})
