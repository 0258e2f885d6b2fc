/**
 * The order of elements in answers, and their prefixes, which clients go by: JavaScript's reads a prefix of four characters and
 * one declaration on the counts. The orders are those of recorded answers of the service (API 2017-04), word for word, and not
 * those of a table that the client has too; what newer versions have stands behind them.
 */
import { Effect } from "effect"
import * as AtomXml from "../../../src/internal/administration/AtomXml.ts"
import { managementApi } from "../../support/managementApi.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const entry = (name: string, elements = "") =>
  `<entry xmlns="${AtomXml.atom}"><content type="application/xml"><${name} xmlns="${AtomXml.connect}" xmlns:i="${AtomXml.instance}">${elements}</${name}></content></entry>`

const forwarding =
  "<ForwardTo>sb://localhost/target</ForwardTo><ForwardDeadLetteredMessagesTo>sb://localhost/target</ForwardDeadLetteredMessagesTo>"

const queue = {
  created:
    "LockDuration MaxSizeInMegabytes RequiresDuplicateDetection RequiresSession DefaultMessageTimeToLive DeadLetteringOnMessageExpiration DuplicateDetectionHistoryTimeWindow MaxDeliveryCount EnableBatchedOperations SizeInBytes MessageCount IsAnonymousAccessible AuthorizationRules Status CreatedAt UpdatedAt SupportOrdering AutoDeleteOnIdle EnablePartitioning EntityAvailabilityStatus EnableExpress ForwardTo ForwardDeadLetteredMessagesTo",
  read:
    "LockDuration MaxSizeInMegabytes RequiresDuplicateDetection RequiresSession DefaultMessageTimeToLive DeadLetteringOnMessageExpiration DuplicateDetectionHistoryTimeWindow MaxDeliveryCount EnableBatchedOperations SizeInBytes MessageCount IsAnonymousAccessible AuthorizationRules Status CreatedAt UpdatedAt AccessedAt SupportOrdering CountDetails AutoDeleteOnIdle EnablePartitioning EntityAvailabilityStatus EnableExpress ForwardTo ForwardDeadLetteredMessagesTo"
}

const topic = {
  created:
    "DefaultMessageTimeToLive MaxSizeInMegabytes RequiresDuplicateDetection DuplicateDetectionHistoryTimeWindow EnableBatchedOperations SizeInBytes FilteringMessagesBeforePublishing IsAnonymousAccessible AuthorizationRules Status CreatedAt UpdatedAt SupportOrdering AutoDeleteOnIdle EnablePartitioning EntityAvailabilityStatus EnableSubscriptionPartitioning EnableExpress",
  read:
    "DefaultMessageTimeToLive MaxSizeInMegabytes RequiresDuplicateDetection DuplicateDetectionHistoryTimeWindow EnableBatchedOperations SizeInBytes FilteringMessagesBeforePublishing IsAnonymousAccessible AuthorizationRules Status CreatedAt UpdatedAt AccessedAt SupportOrdering CountDetails SubscriptionCount AutoDeleteOnIdle EnablePartitioning EntityAvailabilityStatus EnableSubscriptionPartitioning EnableExpress"
}

const subscription = {
  created:
    "LockDuration RequiresSession DefaultMessageTimeToLive DeadLetteringOnMessageExpiration DeadLetteringOnFilterEvaluationExceptions MessageCount MaxDeliveryCount EnableBatchedOperations Status ForwardTo CreatedAt UpdatedAt AccessedAt ForwardDeadLetteredMessagesTo AutoDeleteOnIdle EntityAvailabilityStatus",
  read:
    "LockDuration RequiresSession DefaultMessageTimeToLive DeadLetteringOnMessageExpiration DeadLetteringOnFilterEvaluationExceptions MessageCount MaxDeliveryCount EnableBatchedOperations Status ForwardTo CreatedAt UpdatedAt AccessedAt CountDetails ForwardDeadLetteredMessagesTo AutoDeleteOnIdle EntityAvailabilityStatus"
}

const rule =
  `<Filter i:type="SqlFilter"><SqlExpression>a = @b</SqlExpression><Parameters><KeyValueOfstringanyType><Key>@b</Key><Value i:type="x:int" xmlns:x="${AtomXml.schema}">5</Value></KeyValueOfstringanyType></Parameters></Filter>`

const contentOf = (body: string) =>
  Effect.map(AtomXml.parse(body), (root) => {
    const envelope = AtomXml.envelopeOf(root)
    return envelope?._tag === "Entry" ? envelope.content! : assert.fail(body)
  })

const names = (element: AtomXml.Element | undefined) =>
  element === undefined ? "" : AtomXml.elementsOf(element).map(({ name }) => name).join(" ")

const rulePath = "/news/Subscriptions/all/Rules/r"

describe("an answer", () => {
  it.effect("has its elements in the order of the service", () =>
    Effect.gen(function*() {
      const ask = yield* managementApi("localhost", [{ name: "target" }])
      const of = (method: string, path: string, version: string, body?: string) =>
        Effect.flatMap(
          ask(method, `${path}?api-version=${version}`, body),
          (answer) => Effect.map(contentOf(answer.body), names)
        )
      const kinds = [
        ["/orders", entry("QueueDescription", forwarding), queue, " MaxMessageSizeInKilobytes", ""],
        [
          "/news",
          entry("TopicDescription"),
          topic,
          " MaxMessageSizeInKilobytes",
          " SqlFilterCount CorrelationFilterCount"
        ],
        ["/news/Subscriptions/all", entry("SubscriptionDescription", forwarding), subscription, " IsClientAffine", ""]
      ] as const
      for (const [path, body, { created, read }, of2021, of2024] of kinds) {
        assert.strictEqual(yield* of("PUT", path, "2017-04", body), created, path)
        assert.strictEqual(yield* of("GET", path, "2017-04"), read, path)
        assert.strictEqual(yield* of("GET", path, "2021-05"), read + of2021, path)
        assert.strictEqual(yield* of("GET", path, "2024-05"), read + of2021 + of2024, path)
      }
      assert.strictEqual(
        yield* of("PUT", rulePath, "2017-04", entry("RuleDescription", rule)),
        "Filter Action CreatedAt Name"
      )
      assert.strictEqual(
        yield* of("GET", "/$namespaceinfo", "2017-04"),
        "CreatedTime MessagingSKU ModifiedTime Name NamespaceType"
      )
      const { body } = yield* ask("GET", rulePath)
      const content = yield* contentOf(body)
      assert.strictEqual(
        names(AtomXml.childOf(content, "Filter")),
        "SqlExpression CompatibilityLevel Parameters"
      )
    }).pipe(Effect.scoped))

  it.effect("has the prefixes of the service", () =>
    Effect.gen(function*() {
      const ask = yield* managementApi()
      yield* ask("PUT", "/orders", entry("QueueDescription"))
      yield* ask("PUT", "/news", entry("TopicDescription"))
      yield* ask("PUT", "/news/Subscriptions/all", entry("SubscriptionDescription"))
      yield* ask("PUT", rulePath, entry("RuleDescription", rule))
      const said = (path: string, text: string) =>
        Effect.map(ask("GET", path), ({ body }) => assert.include(body, text, path))
      const counts = (prefix: string) =>
        `<CountDetails xmlns:${prefix}="http://schemas.microsoft.com/netservices/2011/06/servicebus"><${prefix}:ActiveMessageCount>0</${prefix}:ActiveMessageCount><${prefix}:DeadLetterMessageCount>0</${prefix}:DeadLetterMessageCount><${prefix}:ScheduledMessageCount>0</${prefix}:ScheduledMessageCount><${prefix}:TransferMessageCount>0</${prefix}:TransferMessageCount><${prefix}:TransferDeadLetterMessageCount>0</${prefix}:TransferDeadLetterMessageCount></CountDetails>`
      yield* said("/orders", counts("d2p1"))
      yield* said("/news", counts("d2p1"))
      yield* said("/news/Subscriptions/all", counts("d3p1"))
      yield* said(
        rulePath,
        `<Key>@b</Key><Value i:type="d6p1:int" xmlns:d6p1="http://www.w3.org/2001/XMLSchema">5</Value>`
      )
      yield* said(rulePath, `<Action i:type="EmptyRuleAction"></Action>`)
    }).pipe(Effect.scoped))
})
