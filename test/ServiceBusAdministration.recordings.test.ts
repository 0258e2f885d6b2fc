/**
 * What the client makes of the service's own answers: every recorded exchange is replayed, and the client is given what was
 * answered to the same kind of request. The recordings are no part of this repository.
 */
import {
  ServiceBusAdministration,
  ServiceBusCredential,
  type ServiceBusError,
  ServiceBusRule
} from "effect-service-bus"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as AtomXml from "../src/internal/administration/AtomXml.ts"
import * as Description from "../src/internal/administration/Description.ts"
import * as Recordings from "./support/recordings.ts"
import * as Http from "./support/scriptedHttp.ts"
import { assert, describe, it } from "./support/vitest.ts"

const clientOf = Effect.fnUntraced(function*(exchange: Recordings.Exchange) {
  const host = new URL(exchange.url).host
  const asked: Array<Http.Asked> = []
  const http = Http.answering((request) => {
    asked.push(request)
    return {
      status: exchange.status,
      body: exchange.body,
      headers: Object.fromEntries(
        // The body is not in chunks any more.
        Object.entries(exchange.headers).filter(([name]) => name !== "transfer-encoding").map((
          [name, [value]]
        ) => [name, value!])
      )
    }
  })
  const administration = yield* ServiceBusAdministration.makeWith(http, {
    apiVersion: "2017-04",
    retry: { maxRetries: 0 }
  }, {
    host,
    endpoint: { host, port: undefined, isPlain: false },
    credential: ServiceBusCredential.sharedKey({ name: "root", key: "key" }),
    entityPath: undefined
  })
  return { administration, asked }
})

/** The path of a recorded request, in its parts. */
const partsOf = (exchange: Recordings.Exchange) => {
  const path = decodeURIComponent(new URL(exchange.url).pathname).replace(/^\/+/, "")
  const [, topic, subscription, rule] = /^(.+?)\/subscriptions(?:\/([^/]*)(?:\/rules(?:\/(.*))?)?)?$/i.exec(path) ?? []
  return { path, topic, subscription, rule, isRules: /\/rules\/?$/i.test(path) }
}

/** What the client is asked for, so that it makes the recorded request. */
const operationOf = (
  administration: ServiceBusAdministration.ServiceBusAdministration["Service"],
  exchange: Recordings.Exchange
): Effect.Effect<unknown, ServiceBusError.Any> | undefined => {
  const { isRules, path, rule, subscription, topic } = partsOf(exchange)
  const target = `${topic}/Subscriptions/${subscription}`
  switch (exchange.method) {
    case "DELETE":
      return rule !== undefined
        ? administration.deleteRule(target, rule)
        : topic !== undefined
        ? administration.deleteSubscription(target)
        : administration.deleteQueue(path)
    case "GET":
      if (path === "$namespaceinfo") return administration.getNamespace
      if (/^\$Resources\/queues$/i.test(path)) {
        return Effect.all([
          Stream.runCollect(Stream.take(administration.listQueues, 100)),
          Stream.runCollect(Stream.take(administration.listQueueRuntimes, 100))
        ])
      }
      if (/^\$Resources\/topics$/i.test(path)) {
        return Effect.all([
          Stream.runCollect(Stream.take(administration.listTopics, 100)),
          Stream.runCollect(Stream.take(administration.listTopicRuntimes, 100))
        ])
      }
      if (isRules) return Stream.runCollect(administration.listRules(target))
      if (rule !== undefined) return administration.getRule(target, rule)
      if (subscription !== undefined && subscription !== "") return administration.getSubscription(target)
      if (topic !== undefined) return Stream.runCollect(administration.listSubscriptions(topic))
      return exchange.body.includes("<TopicDescription")
        ? administration.getTopic(path)
        : Effect.all([administration.getQueue(path), administration.getQueueRuntime(path)])
    case "PUT":
      // An update reads first, and its answer is that of a request to create.
      if (rule !== undefined) return administration.createRule(target, ServiceBusRule.make(rule, ServiceBusRule.true))
      if (topic !== undefined) return administration.createSubscription(target)
      return exchange.requestBody.includes("TopicDescription")
        ? administration.createTopic(path)
        : administration.createQueue(path)
    default:
      return undefined
  }
}

const expectedTag = (exchange: Recordings.Exchange): ReadonlyArray<string> => {
  switch (exchange.status) {
    case 400:
      return ["InvalidOptionError"]
    case 401:
      return ["ServiceBusAuthenticationError", "ServiceBusAuthorizationError"]
    case 404:
      return ["MessagingEntityNotFoundError", "RuleNotFoundError"]
    case 409:
      return ["MessagingEntityAlreadyExistsError"]
    default:
      return []
  }
}

// Not part of this repository, see above.
describe.runIf(Recordings.arePresent)("recorded exchanges", () => {
  const all = Recordings.arePresent ? Recordings.recordings() : []
  for (const [name, exchanges] of all) {
    it.effect(name, () =>
      Effect.gen(function*() {
        for (const exchange of exchanges) {
          const { administration, asked } = yield* clientOf(exchange)
          const operation = operationOf(administration, exchange)
          if (operation === undefined) continue
          const result = yield* Effect.result(operation)
          const where = `${exchange.name}: ${exchange.method} ${exchange.url}`
          if (asked.length === 0) {
            // A name that this library refuses before the service does.
            assert.strictEqual(Result.isFailure(result) && result.failure._tag, "InvalidOptionError", where)
            continue
          }
          assert.strictEqual(
            decodeURIComponent(asked[0]!.url.pathname).toLowerCase(),
            decodeURIComponent(new URL(exchange.url).pathname).replace(/\/$/, "").toLowerCase(),
            where
          )
          if (exchange.status >= 400) {
            assert.include(expectedTag(exchange), Result.isFailure(result) ? result.failure._tag : "success", where)
          } else {
            assert.isTrue(
              Result.isSuccess(result),
              `${where}: ${Result.isFailure(result) ? result.failure.message : ""}`
            )
          }
        }
      }))
  }

  it.effect("a refused description names the setting that was wrong", () =>
    Effect.gen(function*() {
      const options = new Map<string, number>()
      for (const exchange of all.flatMap(([, exchanges]) => exchanges)) {
        if (exchange.status !== 400) continue
        const { administration } = yield* clientOf(exchange)
        const result = yield* Effect.result(operationOf(administration, exchange)!)
        const option = Result.isFailure(result) && result.failure._tag === "InvalidOptionError"
          ? result.failure.option
          : ""
        options.set(option, (options.get(option) ?? 0) + 1)
      }
      assert.isAbove(options.get("lockDuration") ?? 0, 0)
      assert.isAbove(options.get("duplicateDetectionWindow") ?? 0, 0)
      assert.isAbove(options.get("requiresSession") ?? 0, 0)
    }))

  it.effect("what is read of them is what they say", () =>
    Effect.gen(function*() {
      const find = (name: string, test: (exchange: Recordings.Exchange) => boolean) =>
        all.find(([each]) => each === name)![1].find(test)!
      const created = find("queue_create_with_queue_description", ({ method, url }) =>
        method === "PUT" && url.includes("iweidk"))
      const { administration } = yield* clientOf(created)
      const host = administration.fullyQualifiedNamespace
      const queue = yield* administration.createQueue("iweidk")
      assert.include(queue.forwardTo!, "/aghadh")
      assert.strictEqual(queue.maxDeliveryCount, 14)
      assert.isTrue(queue.requiresSession)
      assert.isTrue(queue.enablePartitioning)
      assert.isAbove(queue.maxSize, 3072 * 1024 ** 2 - 1)
      assert.isString(host)
      // The request that was recorded says the same settings, written here in the order of the service.
      const envelope = AtomXml.envelopeOf(yield* AtomXml.parse(created.requestBody))
      const content = envelope?._tag === "Entry" ? envelope.content! : undefined
      const values = Result.getOrThrow(Description.read(Description.queue, content!))
      assert.strictEqual(values.MaxDeliveryCount, 14)

      const info = find("namespace_get_properties", () =>
        true)
      const namespace = yield* (yield* clientOf(info)).administration.getNamespace
      assert.include(["Basic", "Standard", "Premium"], namespace.sku)
      assert.isString(namespace.name)
      assert.isDefined(namespace.createdAt)
    }))

  it.effect("an entity that is missing is none", () =>
    Effect.gen(function*() {
      let missing = 0
      for (const exchange of all.flatMap(([, exchanges]) => exchanges)) {
        if (exchange.method !== "GET" || !exchange.body.includes("Publicly Listed Services")) continue
        missing++
        const { administration } = yield* clientOf(exchange)
        assert.isTrue(Option.isNone(yield* administration.getQueue("q")))
      }
      assert.isAbove(missing, 0)
    }))
})
