import {
  ServiceBusAdministration,
  ServiceBusBody,
  ServiceBusCredential,
  ServiceBusEntity,
  type ServiceBusError,
  ServiceBusRule
} from "effect-service-bus"
import * as Cause from "effect/Cause"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as AtomXml from "../src/internal/administration/AtomXml.ts"
import * as Description from "../src/internal/administration/Description.ts"
import { failsWith } from "./support/harness.ts"
import type { Asked } from "./support/scriptedHttp.ts"
import * as Http from "./support/scriptedHttp.ts"
import { recorder } from "./support/spanRecorder.ts"
import { assert, describe, it } from "./support/vitest.ts"

const host = "contoso.servicebus.windows.net"
const credential = ServiceBusCredential.sharedKey({ name: "root", key: "secret-key" })

const Orders = ServiceBusEntity.queue("orders/eu", { body: ServiceBusBody.text })
const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Sport = ServiceBusEntity.subscription(News, "sport")
const Chess = ServiceBusEntity.subscription(News, "chess", { sessions: true })

const clientOf = (
  http: Parameters<typeof ServiceBusAdministration.makeWith>[0],
  options: ServiceBusAdministration.CommonOptions = {},
  given: ServiceBusCredential.ServiceBusCredential = credential
) =>
  ServiceBusAdministration.makeWith(http, options, {
    host,
    endpoint: { host, port: undefined, isPlain: false },
    credential: given,
    entityPath: undefined
  })

/** A client, and what it asked. */
const against = Effect.fnUntraced(function*(
  answers: ReadonlyArray<Http.Answer>,
  options: ServiceBusAdministration.CommonOptions = { retry: { maxRetries: 2, delay: 1, maxDelay: 1 } }
) {
  const { asked, http } = Http.scripted(answers)
  return { administration: yield* clientOf(http, options), asked }
})

const entry = (title: string, content: AtomXml.Element, status = 200): Http.Answer => ({
  status,
  body: AtomXml.print(AtomXml.entryElement({ title, content }))
})

const queueEntry = (title: string, values: Description.Queue = {}, status = 200) =>
  entry(title, Description.write(Description.queue, values, "answer"), status)

const feed = (entries: ReadonlyArray<AtomXml.Entry>, next?: string): Http.Answer => ({
  status: 200,
  body: AtomXml.print(AtomXml.feedElement({ title: "Publicly Listed Services", entries, next }))
})

const refusal = (code: number, detail: string, headers: Readonly<Record<string, string>> = {}): Http.Answer => ({
  status: code,
  body: AtomXml.print(AtomXml.refusalElement({ code, detail })),
  headers
})

const exists = refusal(
  409,
  "SubCode=40900. Conflict. You're requesting an operation that isn't allowed in the resource's current state. To know more " +
    "visit https://aka.ms/sbResourceMgrExceptions. . TrackingId:1_G1, SystemTracker:a:b, Timestamp:2021-04-19T17:21:21"
)
const missing = refusal(
  404,
  "SubCode=40400. Not Found. The Operation doesn't exist. TrackingId:2_G2, SystemTracker:a:b"
)

/** The elements of the description that a request brought. */
const contentOf = (asked: Asked | undefined) =>
  Effect.map(AtomXml.parse(asked!.body), (root) => {
    const envelope = AtomXml.envelopeOf(root)
    const content = envelope?._tag === "Entry" ? envelope.content! : root
    return AtomXml.elementsOf(content).map((element) => [element.name, AtomXml.textOf(element)])
  })

const failure = <A, E>(exit: Exit.Exit<A, E>): E =>
  Exit.isFailure(exit) ? Option.getOrThrow(Cause.findErrorOption(exit.cause)) : assert.fail("it succeeded")

describe("a request", () => {
  it.effect("to create has the settings that were given, in the service's order, and a token", () =>
    Effect.gen(function*() {
      const { administration, asked } = yield* against([
        queueEntry("orders/eu", { LockDuration: Duration.seconds(30), MaxDeliveryCount: 3 }, 201)
      ])
      const queue = yield* administration.createQueue(Orders, {
        authorizationRules: [{ name: "a", rights: ["Send"], primaryKey: Redacted.make("a2V5") }],
        userMetadata: "<ours> & é",
        maxMessageSize: 2 * 1024 * 1024,
        forwardDeadLetteredMessagesTo: News,
        forwardTo: "other/queue",
        autoDeleteOnIdle: "1 hour",
        enablePartitioning: false,
        maxSize: 2 * 1024 ** 3,
        duplicateDetectionWindow: "10 minutes",
        defaultTimeToLive: Duration.infinity,
        status: "SendDisabled",
        maxDeliveryCount: 3,
        lockDuration: "30 seconds"
      })
      assert.strictEqual(queue.name, "orders/eu")
      assert.strictEqual(queue.maxDeliveryCount, 3)
      const [request] = asked
      assert.strictEqual(request!.method, "PUT")
      assert.strictEqual(request!.url.href, `https://${host}/orders/eu?api-version=2021-05`)
      assert.isUndefined(request!.headers["if-match"])
      const token = request!.headers["authorization"]!
      assert.match(
        token,
        /^SharedAccessSignature sr=https%3A%2F%2Fcontoso\.servicebus\.windows\.net%2F&sig=.*&skn=root$/
      )
      assert.strictEqual(request!.headers["servicebussupplementaryauthorization"], token)
      assert.strictEqual(request!.headers["servicebusdlqsupplementaryauthorization"], token)
      assert.match(request!.headers["content-type"]!, /^application\/atom\+xml;type=entry/)
      assert.match(request!.headers["user-agent"]!, /^effect-service-bus\//)
      assert.deepStrictEqual(yield* contentOf(request), [
        ["LockDuration", "PT30S"],
        ["MaxSizeInMegabytes", "2048"],
        ["RequiresDuplicateDetection", "true"],
        ["DefaultMessageTimeToLive", "P10675199DT2H48M5.4775807S"],
        ["DuplicateDetectionHistoryTimeWindow", "PT10M"],
        ["MaxDeliveryCount", "3"],
        ["AuthorizationRules", ""],
        ["Status", "SendDisabled"],
        ["ForwardTo", `sb://${host}/other/queue`],
        ["UserMetadata", "<ours> & é"],
        ["AutoDeleteOnIdle", "PT1H"],
        ["EnablePartitioning", "false"],
        ["ForwardDeadLetteredMessagesTo", `sb://${host}/news`],
        ["MaxMessageSizeInKilobytes", "2048"]
      ])
    }))

  it.effect("has no times of policies, which the service says, whatever they are", () =>
    Effect.gen(function*() {
      const { administration, asked } = yield* against([queueEntry("q", {}, 201)])
      yield* administration.createQueue("q", {
        authorizationRules: [
          { name: "a", rights: ["Send"], createdAt: "yesterday" as never, modifiedAt: DateTime.makeUnsafe(0) }
        ]
      })
      assert.include(asked[0]!.body, "<KeyName>a</KeyName>")
      assert.notMatch(asked[0]!.body, /CreatedTime|ModifiedTime/)
    }))

  it.effect("says what the contract says, and an identity's token is a bearer", () =>
    Effect.gen(function*() {
      const { asked, http } = Http.scripted([queueEntry("carts", {}, 201)])
      const identity = ServiceBusCredential.identity({
        getToken: () => Promise.resolve({ token: "a.b.c", expiresOnTimestamp: 3600_000 })
      })
      const administration = yield* clientOf(http, { apiVersion: "2017-04", port: 8443 }, identity)
      yield* administration.createQueue(Carts)
      assert.strictEqual(asked[0]!.headers["authorization"], "Bearer a.b.c")
      assert.strictEqual(asked[0]!.url.href, `https://${host}:8443/carts?api-version=2017-04`)
      assert.deepStrictEqual(yield* contentOf(asked[0]), [["RequiresSession", "true"]])
    }))

  it.effect("to update has all that is there, with the changes, and what this version does not know", () =>
    Effect.gen(function*() {
      const unknown = AtomXml.element(AtomXml.connect, "NewSetting", ["7"])
      const there: Description.Queue = {
        LockDuration: Duration.minutes(1),
        RequiresSession: true,
        MessageCount: 5,
        CreatedAt: DateTime.makeUnsafe(0),
        Status: "Active",
        ForwardTo: `https://${host}/target`,
        UserMetadata: "kept",
        EntityAvailabilityStatus: "Available",
        unknown: [unknown]
      }
      const { administration, asked } = yield* against([queueEntry("orders/eu", there), queueEntry("orders/eu", there)])
      yield* administration.updateQueue(Orders, (queue) => {
        assert.strictEqual(queue.forwardTo, "target")
        assert.isTrue(queue.requiresSession)
        return { forwardTo: null, lockDuration: Duration.times(queue.lockDuration, 2), maxDeliveryCount: undefined }
      })
      assert.strictEqual(asked[1]!.headers["if-match"], "*")
      assert.isUndefined(asked[1]!.headers["servicebussupplementaryauthorization"])
      assert.deepStrictEqual(yield* contentOf(asked[1]), [
        ["LockDuration", "PT2M"],
        ["RequiresSession", "true"],
        ["Status", "Active"],
        ["UserMetadata", "kept"],
        ["NewSetting", "7"]
      ])
    }))

  it.effect("to update has the size of one partition, where the service shows that of all", () =>
    Effect.gen(function*() {
      const there = queueEntry("q", { EnablePartitioning: true, MaxSizeInMegabytes: 32_768 })
      const { administration, asked } = yield* against([there, there])
      const queue = yield* administration.updateQueue("q", () => ({ maxDeliveryCount: 3 }))
      assert.strictEqual(queue.maxSize, 32 * 1024 ** 3)
      assert.deepInclude(yield* contentOf(asked[1]), ["MaxSizeInMegabytes", "2048"])
    }))

  it.effect("that is not usable is refused before anything is sent, and names what is wrong", () =>
    Effect.gen(function*() {
      const { administration, asked } = yield* against([])
      const { createQueue, createRule, createSubscription, createTopic } = administration
      const cases: ReadonlyArray<readonly [Effect.Effect<unknown, ServiceBusError.Any>, string]> = [
        [createQueue(""), "entity"],
        [createQueue("a//b"), "entity"],
        [createQueue(News as never), "entity"],
        [createSubscription("news"), "entity"],
        [createSubscription(Orders as never), "entity"],
        [createQueue("q", { lockDuration: "soon" as never }), "lockDuration"],
        [createQueue("q", { maxDeliveryCount: 1.5 }), "maxDeliveryCount"],
        [createQueue("q", { maxSize: 1000 }), "maxSize"],
        [createQueue("q", { userMetadata: "\0" }), "userMetadata"],
        [createQueue("q", { userMetadata: "a".repeat(1025) }), "userMetadata"],
        [createQueue("q", { forwardTo: 5 as never }), "forwardTo"],
        [createQueue("q", { requiresSession: "yes" as never }), "requiresSession"],
        [createQueue("q", { lockDurations: "1 minute" } as never), "settings.lockDurations"],
        [createTopic("t", { lockDuration: "1 minute" } as never), "settings.lockDuration"],
        [createQueue("q", { authorizationRules: [{ name: "", rights: [] }] }), "authorizationRules"],
        [
          createQueue("q", { authorizationRules: [{ name: "a", rights: [], primaryKey: "k" as never }] }),
          "authorizationRules"
        ],
        [createRule(Sport, ServiceBusRule.make("a/b", ServiceBusRule.true)), "name"],
        [createRule(Sport, ServiceBusRule.make("a", ServiceBusRule.sql("a = '\0'"))), "filter.expression"],
        [
          createRule(Sport, ServiceBusRule.make("a", ServiceBusRule.sql("a = @b", { b: [1] }))),
          "filter.parameters.@b"
        ],
        [createQueue("a/../b"), "entity"],
        [createQueue("a/$DeadLetterQueue"), "entity"],
        [createQueue("a/./b"), "entity"],
        [administration.deleteQueue("news/Subscriptions/sport"), "entity"],
        [administration.deleteTopic("news/subscriptions/sport"), "entity"],
        [administration.deleteRule(Sport, ".."), "name"],
        [administration.deleteRule(Sport, "."), "name"],
        [createRule(Sport, ServiceBusRule.make("..", ServiceBusRule.true)), "name"],
        [createQueue(Carts, { requiresSession: false } as never), "requiresSession"],
        [createQueue(Orders, { requiresSession: true } as never), "requiresSession"],
        [createSubscription(Chess, { requiresSession: false } as never), "requiresSession"],
        [createQueue("q", { authorizationRules: [{ name: "a", rights: ["send" as never] }] }), "authorizationRules"],
        [createQueue("q", { authorizationRules: [{ name: "a", right: ["Send"] } as never] }), "authorizationRules"],
        [
          createQueue("q", { authorizationRules: [{ name: "a", rights: ["Send"], key: "b" } as never] }),
          "authorizationRules"
        ],
        [createQueue("q", Promise.resolve({ maxDeliveryCount: 3 }) as never), "settings"],
        [administration.updateQueue("q", 5 as never), "change"],
        [administration.updateRule(Sport, "a", 5 as never), "change"],
        [createSubscription(Sport, { rules: [{} as never] }), "rules[0].name"],
        [createSubscription(Sport, { rules: 5 as never }), "rules"],
        [
          createSubscription(Sport, {
            rules: [ServiceBusRule.make("a", ServiceBusRule.true), ServiceBusRule.make("b", ServiceBusRule.sql("\0"))]
          }),
          "rules[1].filter.expression"
        ],
        [
          createSubscription(Sport, {
            rules: [ServiceBusRule.make("a", ServiceBusRule.true), ServiceBusRule.make("A", ServiceBusRule.true)]
          }),
          "rules[1].name"
        ]
      ]
      for (const [effect, option] of cases) {
        const error = yield* Effect.flip(effect)
        assert.strictEqual(error._tag, "InvalidOptionError")
        assert.strictEqual((error as ServiceBusError.InvalidOptionError).option, option)
      }
      assert.lengthOf(asked, 0)
    }))

  it.effect("to update with what cannot be changed is refused once it is known, and what is as it was is none", () =>
    Effect.gen(function*() {
      const there = queueEntry("q", {
        RequiresSession: true,
        EnablePartitioning: false,
        RequiresDuplicateDetection: false
      })
      const cases: ReadonlyArray<readonly [unknown, string]> = [
        [{ requiresSession: false }, "requiresSession"],
        [{ maxDeliveryCount: 3, enablePartitioning: true }, "enablePartitioning"],
        [{ duplicateDetectionWindow: "1 minute" }, "duplicateDetectionWindow"],
        [{ lockDurations: "1 minute" }, "settings.lockDurations"],
        [Promise.resolve({ maxDeliveryCount: 3 }), "settings"]
      ]
      for (const [changes, option] of cases) {
        const { administration, asked } = yield* against([there])
        const error = yield* failsWith("InvalidOptionError")(administration.updateQueue("q", () => changes as never))
        assert.strictEqual(error.option, option)
        assert.lengthOf(asked, 1)
      }
      const { administration, asked } = yield* against([there, there])
      yield* administration.updateQueue("q", () => ({ requiresSession: true, enablePartitioning: false }) as never)
      assert.lengthOf(asked, 2)
      const rule = entry("r", Description.write(Description.rule, { Name: "r" }, "answer"))
      for (const changes of [{ filters: ServiceBusRule.true }, Promise.resolve({ filter: ServiceBusRule.true }), 5]) {
        const { administration, asked } = yield* against([rule])
        const error = yield* failsWith("InvalidOptionError")(
          administration.updateRule(Sport, "r", () => changes as never)
        )
        assert.match(error.option, /^changes/)
        assert.lengthOf(asked, 1)
      }
    }))
})

describe("an answer", () => {
  it.effect("without an entity is none, whether it is a feed, a 404 or an entity of another kind", () =>
    Effect.gen(function*() {
      const topic = entry("q", Description.write(Description.topic, {}, "answer"))
      const { administration } = yield* against([feed([]), missing, topic, feed([]), queueEntry("q")])
      for (let i = 0; i < 3; i++) assert.isTrue(Option.isNone(yield* administration.getQueue("q")))
      assert.isFalse(yield* administration.queueExists("q"))
      assert.isTrue(yield* administration.queueExists("q"))
    }))

  it.effect("that is bare has the service's defaults", () =>
    Effect.gen(function*() {
      const { administration } = yield* against([queueEntry("Q"), queueEntry("q", { AccessedAt: never })])
      assert.deepStrictEqual(Option.getOrThrow(yield* administration.getQueue("q")), {
        name: "Q",
        status: "Active",
        lockDuration: Duration.minutes(1),
        maxDeliveryCount: 10,
        defaultTimeToLive: Duration.infinity,
        deadLetteringOnExpiration: false,
        duplicateDetectionWindow: undefined,
        requiresSession: false,
        maxSize: 1024 ** 3,
        maxMessageSize: undefined,
        forwardTo: undefined,
        forwardDeadLetteredMessagesTo: undefined,
        autoDeleteOnIdle: Duration.infinity,
        enableBatchedOperations: true,
        enablePartitioning: false,
        enableExpress: false,
        userMetadata: undefined,
        availability: undefined,
        authorizationRules: []
      })
      const runtime = Option.getOrThrow(yield* administration.getQueueRuntime("q"))
      assert.isUndefined(runtime.accessedAt)
      assert.strictEqual(runtime.totalMessageCount, 0)
    }))

  it.effect("of a list is read page by page, as long as somebody pulls", () =>
    Effect.gen(function*() {
      const content = Description.write(Description.queue, {}, "answer")
      const page = (from: number, count: number): ReadonlyArray<AtomXml.Entry> =>
        Array.from({ length: count }, (_, index) => ({ title: `q${from + index}`, content }))
      const next = `https://${host}/$Resources/queues?%24skip=40&%24top=100&api-version=2021-05`
      const answers = [
        // A short page with a link goes on, a full one without a link too.
        feed(page(0, 40), next),
        feed(page(40, 100)),
        feed(page(140, 5))
      ]
      const whole = yield* against(answers)
      const queues = yield* Stream.runCollect(whole.administration.listQueues)
      assert.deepStrictEqual(queues.map(({ name }) => name), Array.from({ length: 145 }, (_, index) => `q${index}`))
      assert.deepStrictEqual(whole.asked.map(({ target }) => target), [
        "/$Resources/queues?$skip=0&$top=100&api-version=2021-05",
        "/$Resources/queues?$skip=40&$top=100&api-version=2021-05",
        "/$Resources/queues?$skip=140&$top=100&api-version=2021-05"
      ])
      const some = yield* against(answers)
      assert.lengthOf(yield* Stream.runCollect(Stream.take(some.administration.listQueues, 40)), 40)
      assert.lengthOf(some.asked, 1)
    }))

  it.effect("of a list that does not go on is an error, and no list without an end", () =>
    Effect.gen(function*() {
      const content = Description.write(Description.queue, {}, "answer")
      const full = Array.from({ length: 100 }, (_, index) => ({ title: `q${index}`, content }))
      const links = [
        // The same page again: whoever answers takes no notice of $skip.
        undefined,
        // Back to the beginning, or to another host: its address is not followed, and the next page is asked of the same host.
        `https://${host}/$Resources/queues?%24skip=0&%24top=100`,
        "https://elsewhere.example/$Resources/queues?%24skip=100&%24top=100",
        "https://elsewhere.example/?$skip=99999999999999999999",
        "not an address"
      ]
      for (const next of links) {
        const { administration, asked } = yield* against([feed(full, next), feed(full, next)])
        const error = yield* failsWith("ServiceBusError")(Stream.runCollect(administration.listQueues))
        assert.match(error.message, /two pages of it begin with "q0"/)
        assert.deepStrictEqual(asked.map(({ url }) => [url.host, url.searchParams.get("$skip")]), [
          [host, "0"],
          [host, "100"]
        ])
      }
      // A link of an empty page goes nowhere.
      const { administration, asked } = yield* against([feed([], links[2])])
      assert.lengthOf(yield* Stream.runCollect(administration.listQueues), 0)
      assert.lengthOf(asked, 1)
    }))

  it.effect("that cannot be read says so, and by which element", () =>
    Effect.gen(function*() {
      const bad =
        `<entry xmlns="${AtomXml.atom}"><title>q</title><content><QueueDescription xmlns="${AtomXml.connect}">` +
        "<LockDuration>soon</LockDuration></QueueDescription></content></entry>"
      const { administration } = yield* against([
        { status: 200, body: bad },
        { status: 200, body: "<html>" },
        { status: 200, body: "<html/>" },
        { status: 301, body: "moved", headers: { location: "https://elsewhere" } }
      ])
      for (
        const problem of [/of "q", LockDuration is not a duration/, /unclosed/, /no entry and no feed/, /301: moved/]
      ) {
        const error = yield* Effect.flip(administration.getQueue("q"))
        assert.strictEqual(error._tag, "ServiceBusError")
        assert.match(error.message, problem)
      }
    }))

  it.effect("that is empty, a page of a proxy, or another answer says not that there is nothing", () =>
    Effect.gen(function*() {
      const page = `<html xmlns="http://www.w3.org/1999/xhtml"><head><title>Sign in</title></head><body/></html>`
      const bare: Http.Answer = { status: 200, body: AtomXml.print(AtomXml.entryElement({ title: "q" })) }
      const strange = entry("q", AtomXml.element(AtomXml.connect, "NewDescription"))
      const both: ReadonlyArray<Http.Answer> = [
        { status: 200, body: "" },
        { status: 204 },
        { status: 200, body: page },
        { status: 200, body: "<!DOCTYPE html><html></html>" },
        { status: 200, body: "{}" }
      ]
      const list = feed([{ title: "q", content: Description.write(Description.queue, {}, "answer") }])
      const ofOne = [...both, bare, strange, list]
      const ofList = [...both, queueEntry("q"), feed([{ title: "q" }])]
      const problem = /what answered is not the management API/
      for (const answer of ofOne) {
        const { administration } = yield* against([answer, answer])
        for (
          const found of [Effect.asVoid(administration.getQueue("q")), Effect.asVoid(administration.queueExists("q"))]
        ) {
          assert.match((yield* failsWith("ServiceBusError")(found)).message, problem)
        }
      }
      for (const answer of ofList) {
        const { administration } = yield* against([answer])
        const listed = Stream.runCollect(administration.listQueues)
        assert.match((yield* failsWith("ServiceBusError")(listed)).message, problem)
      }
    }))

  it.effect("that is larger than any list is not read, declared or not", () =>
    Effect.gen(function*() {
      const large = " ".repeat(17 * 1024 * 1024)
      const { administration } = yield* against([
        { status: 200, body: "", headers: { "content-length": String(large.length) } },
        { status: 200, body: large },
        { status: 200, body: large, headers: { "content-length": "10", "content-encoding": "gzip" } }
      ], { retry: { maxRetries: 0 } })
      for (let i = 0; i < 3; i++) {
        const error = yield* failsWith("ServiceBusError")(administration.getQueue("q"))
        assert.match(error.message, /longer than 16777216 bytes/)
      }
    }))
})

const never = DateTime.makeUnsafe("0001-01-01T00:00:00Z")

describe("a refusal", () => {
  it.effect("is the error of its kind", () =>
    Effect.gen(function*() {
      const rights =
        "Manage,EntityRead claims are required. 'Manage,EntityRead' claim(s) are required to perform this operation."
      const cases: ReadonlyArray<readonly [Http.Answer, string, (error: ServiceBusError.Any) => unknown, unknown]> = [
        [
          refusal(
            400,
            "SubCode=40000. The supplied lock time exceeds the allowed maximum of '5' minutes. To know more visit " +
              "https://aka.ms/sbResourceMgrExceptions.\r\nParameter name: LockDuration\r\nActual value was 25.00:00:00. " +
              "TrackingId:3_G3, SystemTracker:a"
          ),
          "InvalidOptionError",
          (
            error
          ) => [(error as ServiceBusError.InvalidOptionError).option, (error as { trackingId?: string }).trackingId],
          ["lockDuration", "3_G3"]
        ],
        [
          refusal(
            400,
            "The specified value 16384 is invalid. The property 'MaxSizeInMegabytes', must be one of: 1024;2048"
          ),
          "InvalidOptionError",
          (error) => (error as ServiceBusError.InvalidOptionError).option,
          "maxSize"
        ],
        [
          refusal(
            400,
            "SubCode=40000. The value for the RequiresSession property of an existing Queue cannot be changed."
          ),
          "InvalidOptionError",
          (error) => (error as ServiceBusError.InvalidOptionError).option,
          "requiresSession"
        ],
        [
          refusal(
            400,
            "SubCode=40000. 'sb://a/q~' contains character(s) that is not allowed by Service Bus. Entity segments can contain only letters, numbers, periods (.), hyphens (-), and underscores (_). TrackingId:x"
          ),
          "InvalidOptionError",
          (error) => (error as ServiceBusError.InvalidOptionError).option,
          "entity"
        ],
        [
          refusal(400, "SubCode=40400. The auto forwarding destination entity does not exist. TrackingId:x"),
          "InvalidOptionError",
          (error) => (error as ServiceBusError.InvalidOptionError).option,
          "forwardTo"
        ],
        [
          refusal(401, rights),
          "ServiceBusAuthorizationError",
          (error) => (error as { claim?: string }).claim,
          "Manage"
        ],
        [refusal(403, "SubCode=40300. The maximum number of queues"), "ServiceBusQuotaExceededError", () => 1, 1],
        [refusal(403, "SubCode=40301. Invalid"), "ServiceBusError", (error) => error.isTransient, false],
        [
          exists,
          "MessagingEntityAlreadyExistsError",
          (error) => (error as { condition?: string }).condition,
          "http:409.40900"
        ],
        [refusal(410, "SubCode=41000. Gone"), "ServiceBusError", (error) => error.isTransient, false],
        [{ status: 418, body: "<html><p>teapot" }, "ServiceBusError", (error) => /teapot/.test(error.message), true]
      ]
      for (const [answer, tag, read, expected] of cases) {
        const { administration, asked } = yield* against([answer, answer])
        const error = yield* Effect.flip(administration.createQueue("q"))
        assert.strictEqual(error._tag, tag)
        assert.deepStrictEqual(read(error), expected)
        assert.lengthOf(asked, 1)
        assert.notInclude(error.message, "undefined")
      }
    }))

  it.effect("of a token has it made anew, once", () =>
    Effect.gen(function*() {
      const unauthorized = refusal(401, "SubCode=40103. Invalid authorization token signature")
      const { administration, asked } = yield* against([unauthorized, queueEntry("q"), unauthorized, unauthorized])
      assert.isTrue(Option.isSome(yield* administration.getQueue("q")))
      const error = yield* Effect.flip(administration.getQueue("q"))
      assert.strictEqual(error._tag, "ServiceBusAuthenticationError")
      assert.lengthOf(asked, 4)
    }))

  it.effect("that throttles holds all requests back for as long as it advises", () =>
    Effect.gen(function*() {
      const { administration, asked } = yield* against([
        refusal(429, "SubCode=50004. slow down", { "retry-after": "30" }),
        queueEntry("a"),
        queueEntry("b")
      ])
      const first = yield* Effect.forkChild(administration.getQueue("a"))
      yield* TestClock.adjust("1 second")
      const second = yield* Effect.forkChild(administration.getQueue("b"))
      yield* TestClock.adjust("28 seconds")
      assert.lengthOf(asked, 1)
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(Option.isSome(yield* Fiber.join(first)))
      assert.isTrue(Option.isSome(yield* Fiber.join(second)))
      assert.lengthOf(asked, 3)
    }))

  it.effect("that advises what is no time to wait has the usual one", () =>
    Effect.gen(function*() {
      for (const advice of ["-1", "1.5", "120 seconds", "soon"]) {
        const { administration } = yield* against([refusal(503, "slow down", { "retry-after": advice })], {
          retry: { maxRetries: 0 }
        })
        const error = yield* Effect.flip(administration.getQueue("a"))
        if (error._tag !== "ServiceBusServerBusyError") return assert.fail(error._tag)
        assert.strictEqual(Duration.toSeconds(error.retryAfter), 10, advice)
      }
    }))

  it.effect("is told with the errors that each operation has", () =>
    Effect.gen(function*() {
      const { administration } = yield* against([missing, missing, missing])
      assert.strictEqual(
        (yield* Effect.flip(Stream.runCollect(administration.listSubscriptions(News))))._tag,
        "MessagingEntityNotFoundError"
      )
      assert.strictEqual((yield* Effect.flip(administration.deleteQueue("q")))._tag, "MessagingEntityNotFoundError")
      assert.strictEqual(
        (yield* Effect.flip(administration.updateQueue("q", () => ({}))))._tag,
        "MessagingEntityNotFoundError"
      )
    }))

  it.effect("of a rule that is missing names it, of its subscription names that", () =>
    Effect.gen(function*() {
      const of = (name: string) => refusal(404, `Entity 'ns:Topic:news|sport${name}' was not found. TrackingId:1`)
      const { administration } = yield* against([of("|Urgent"), of("")])
      const rule = yield* Effect.flip(administration.deleteRule(Sport, "urgent"))
      assert.strictEqual(rule._tag, "RuleNotFoundError")
      assert.strictEqual((rule as ServiceBusError.RuleNotFoundError).rule, "urgent")
      assert.strictEqual(
        (yield* Effect.flip(administration.deleteRule(Sport, "urgent")))._tag,
        "MessagingEntityNotFoundError"
      )
    }))
})

describe("an answer that is lost", () => {
  const retried = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(Effect.exit(effect))
      yield* TestClock.adjust("10 minutes")
      return yield* Fiber.join(fiber)
    })

  const lost: Http.Answer = { code: "ECONNRESET" }
  const settings = { lockDuration: "30 seconds", forwardTo: "b" } as const
  const asAsked: Description.Queue = {
    LockDuration: Duration.seconds(30),
    RequiresDuplicateDetection: false,
    RequiresSession: false,
    DeadLetteringOnMessageExpiration: false,
    MaxDeliveryCount: 10,
    Status: "Active",
    ForwardTo: `https://${host}/b`
  }

  for (
    const [how, answer] of Object.entries<Http.Answer>({
      "a connection that was reset": lost,
      "no answer in time": "silence",
      "a failure of the service": { status: 500, body: "" }
    })
  ) {
    it.effect(`of a create, by ${how}: a queue that is then there as it was asked for is created`, () =>
      Effect.gen(function*() {
        const { administration, asked } = yield* against([answer, exists, queueEntry("q", asAsked)])
        const exit = yield* retried(administration.createQueue("q", settings))
        assert.isTrue(Exit.isSuccess(exit))
        assert.deepStrictEqual(asked.map(({ method }) => method), ["PUT", "PUT", "GET"])
      }))

    it.effect(`of a create, by ${how}: one that is there in another way is nobody's answer`, () =>
      Effect.gen(function*() {
        const other = queueEntry("q", { ...asAsked, LockDuration: Duration.seconds(31) })
        for (const found of [other, feed([])]) {
          const { administration } = yield* against([answer, exists, found])
          const error = failure(yield* retried(administration.createQueue("q", settings)))
          assert.strictEqual(error._tag, "OperationTimeoutError")
          assert.strictEqual((error as ServiceBusError.OperationTimeoutError).outcome, "unknown")
        }
      }))

    it.effect(`of a create, by ${how}: a text is another in another letter case, a target is not`, () =>
      Effect.gen(function*() {
        const plain: Description.Queue = { ...asAsked, LockDuration: Duration.minutes(1) }
        const cases: ReadonlyArray<readonly [Description.Queue, boolean]> = [
          [{ UserMetadata: "Mine", ForwardTo: `https://${host}/Target` }, true],
          [{ UserMetadata: "mine", ForwardTo: `sb://${host}/target` }, false],
          [{ UserMetadata: "sb://Mine", ForwardTo: `sb://${host}/target` }, false]
        ]
        for (const [found, isCreated] of cases) {
          const { administration } = yield* against([answer, exists, queueEntry("q", { ...plain, ...found })])
          const exit = yield* retried(administration.createQueue("q", { userMetadata: "Mine", forwardTo: "target" }))
          assert.strictEqual(Exit.isSuccess(exit), isCreated, JSON.stringify(found))
        }
      }))

    it.effect(`of a create, by ${how}: what was not asked for is the service's default`, () =>
      Effect.gen(function*() {
        const bare = { LockDuration: Duration.minutes(1), MaxDeliveryCount: 10, RequiresSession: false }
        const cases: ReadonlyArray<readonly [Description.Queue, boolean]> = [
          [
            { ...bare, RequiresDuplicateDetection: false, DeadLetteringOnMessageExpiration: false, Status: "Active" },
            true
          ],
          [
            { ...bare, RequiresDuplicateDetection: false, DeadLetteringOnMessageExpiration: true, Status: "Active" },
            false
          ],
          [{ ...bare, MaxDeliveryCount: 9 }, false],
          [{ ...bare, UserMetadata: "theirs" }, false]
        ]
        for (const [there, isOurs] of cases) {
          const { administration } = yield* against([answer, exists, queueEntry("q", there)])
          assert.strictEqual(Exit.isSuccess(yield* retried(administration.createQueue("q"))), isOurs)
        }
      }))

    it.effect(`of a delete, by ${how}: one that is not there is deleted`, () =>
      Effect.gen(function*() {
        const { administration } = yield* against([answer, missing])
        assert.isTrue(Exit.isSuccess(yield* retried(administration.deleteQueue("q"))))
      }))
  }

  it.effect("of a rule that is then there as it was asked for is a success", () =>
    Effect.gen(function*() {
      const rule = ServiceBusRule.make("r", ServiceBusRule.sql("a = @a", { a: 1 }))
      const found = (filter: ServiceBusRule.Filter) =>
        entry(
          "r",
          Description.write(Description.rule, {
            Name: "r",
            Filter: filter,
            Action: { _tag: "EmptyAction" },
            CreatedAt: DateTime.makeUnsafe(0)
          }, "answer")
        )
      const same = yield* against([lost, exists, found(rule.filter)])
      assert.isTrue(Exit.isSuccess(yield* retried(same.administration.createRule(Sport, rule))))
      const other = yield* against([lost, exists, found(ServiceBusRule.sql("a = @a", { a: 2 }))])
      assert.strictEqual(
        failure(yield* retried(other.administration.createRule(Sport, rule)))._tag,
        "OperationTimeoutError"
      )
    }))

  it.effect("of a subscription that is then there with other rules than it was to start with is nobody's", () =>
    Effect.gen(function*() {
      const rule = ServiceBusRule.make("r", ServiceBusRule.correlation({ subject: "sport" }))
      const found = entry(
        "sport",
        Description.write(Description.subscription, {
          LockDuration: Duration.minutes(1),
          RequiresSession: false,
          DeadLetteringOnMessageExpiration: false,
          DeadLetteringOnFilterEvaluationExceptions: true,
          MaxDeliveryCount: 10,
          Status: "Active"
        }, "answer")
      )
      const foundRule = (name: string, filter: ServiceBusRule.Filter) =>
        entry(name, Description.write(Description.rule, { Name: name, Filter: filter }, "answer"))
      const cases: ReadonlyArray<
        readonly [rules: ReadonlyArray<ServiceBusRule.Rule> | undefined, Http.Answer, boolean]
      > = [
        [[rule], foundRule("r", rule.filter), true],
        [[rule], foundRule("r", ServiceBusRule.true), false],
        [[rule], missing, false],
        [undefined, foundRule("$Default", ServiceBusRule.true), true],
        [undefined, missing, false]
      ]
      for (const [rules, answer, isOurs] of cases) {
        const { administration, asked } = yield* against([lost, exists, found, answer])
        const exit = yield* retried(administration.createSubscription(Sport, { maxDeliveryCount: 10, rules }))
        assert.strictEqual(Exit.isSuccess(exit), isOurs)
        if (!isOurs) assert.strictEqual(failure(exit)._tag, "OperationTimeoutError")
        assert.strictEqual(
          asked[3]!.url.pathname,
          `/news/Subscriptions/sport/Rules/${rules === undefined ? "$Default" : "r"}`
        )
      }
    }))

  it.effect("of an update may have been carried out, whatever the next try is refused for", () =>
    Effect.gen(function*() {
      const rule = entry("r", Description.write(Description.rule, { Name: "r", Filter: ServiceBusRule.true }, "answer"))
      const cases = [
        [[queueEntry("q"), lost, missing], (each) => each.updateQueue("q", () => ({ maxDeliveryCount: 3 }))],
        [[rule, lost, missing], (each) => each.updateRule(Sport, "r", () => ({ filter: ServiceBusRule.false }))]
      ] as ReadonlyArray<
        readonly [
          ReadonlyArray<Http.Answer>,
          (
            administration: ServiceBusAdministration.ServiceBusAdministration["Service"]
          ) => Effect.Effect<unknown, ServiceBusError.Any>
        ]
      >
      for (const [answers, update] of cases) {
        const { administration } = yield* against(answers)
        const error = failure(yield* retried(update(administration)))
        assert.strictEqual(error._tag, "OperationTimeoutError")
        assert.strictEqual((error as ServiceBusError.OperationTimeoutError).outcome, "unknown")
        // The same again is done, whether it was before or not.
        const again = yield* against([answers[0]!, lost, answers[0]!])
        assert.isTrue(Exit.isSuccess(yield* retried(update(again.administration))))
      }
    }))

  it.effect("of what changes nothing is what the last try failed of; what was not reached has done nothing", () =>
    Effect.gen(function*() {
      const read = yield* against([lost, lost, lost])
      assert.strictEqual(failure(yield* retried(read.administration.getQueue("q")))._tag, "ServiceBusConnectionError")
      const refused: Http.Answer = { code: "ECONNREFUSED" }
      const created = yield* against([refused, refused, exists])
      assert.strictEqual(
        failure(yield* retried(created.administration.createQueue("q")))._tag,
        "MessagingEntityAlreadyExistsError"
      )
      const untrusted = yield* against([{ code: "SELF_SIGNED_CERT_IN_CHAIN" }])
      assert.strictEqual(
        failure(yield* retried(untrusted.administration.createQueue("q")))._tag,
        "ServiceBusCommunicationError"
      )
    }))

  it.effect("is told by spans, and they say no token", () =>
    Effect.gen(function*() {
      const { all, tracer } = recorder()
      const { administration } = yield* against([queueEntry("q", {}, 201), refusal(400, "no")])
      yield* Effect.withTracer(
        administration.createQueue("q", { forwardTo: "a", forwardDeadLetteredMessagesTo: "b" }),
        tracer
      )
      yield* Effect.withTracer(Effect.ignore(administration.createQueue("q")), tracer)
      const spans = all()
      assert.deepStrictEqual(spans.map(({ name, parent, status }) => [name, parent, status]), [
        ["create_queue q", undefined, "ok"],
        ["PUT", "create_queue q", "ok"],
        ["create_queue q", undefined, "failed"],
        ["PUT", "create_queue q", "failed"]
      ])
      assert.strictEqual(spans[0]!.attributes["messaging.operation.name"], "create_queue")
      const text = JSON.stringify(spans)
      assert.notMatch(text, /sig=|SharedAccessSignature|secret-key/)
      assert.include(text, "servicebussupplementaryauthorization")
      // All headers, which a program may ask for.
    }).pipe(Effect.provideService(HttpClient.TracerHeaderFilter, () => true)))

  it.effect("of a token that no header can have is none: an HTTP client would say the header", () =>
    Effect.gen(function*() {
      for (const token of ["eyJ\nhush-hush", "eyJ\0hush-hush", "eyJé-hush-hush"]) {
        const { asked, http } = Http.scripted([])
        const identity = ServiceBusCredential.identity({
          getToken: () => Promise.resolve({ token, expiresOnTimestamp: 3600_000 })
        })
        const administration = yield* clientOf(http, {}, identity)
        const exit = yield* Effect.exit(administration.createQueue("q", { forwardTo: "a" }))
        assert.strictEqual(failure(exit)._tag, "CredentialError")
        assert.notMatch(JSON.stringify(exit) + String(Exit.isFailure(exit) && Cause.pretty(exit.cause)), /hush/)
        assert.lengthOf(asked, 0)
      }
    }))

  it.effect("says no secret", () =>
    Effect.gen(function*() {
      const { administration } = yield* against([
        lost,
        lost,
        lost,
        refusal(500, "no"),
        refusal(500, "no"),
        refusal(500, "no")
      ])
      for (let i = 0; i < 2; i++) {
        const exit = yield* retried(administration.createQueue("q"))
        assert.notMatch(
          JSON.stringify(exit) + String(Exit.isFailure(exit) && Cause.pretty(exit.cause)),
          /sig=(?!<)|secret-key/
        )
      }
    }))
})

describe("a subscription with rules", () => {
  const created = entry("sport", Description.write(Description.subscription, {}, "answer"), 201)
  const rule = entry("r", Description.write(Description.rule, { Name: "r" }, "answer"), 201)
  const { make, sql } = ServiceBusRule

  it.effect("has the first one at once and the others after it; without any, $Default goes", () =>
    Effect.gen(function*() {
      const two = yield* against([created, rule])
      const subscription = yield* two.administration.createSubscription(Sport, {
        rules: [make("one", sql("a = 1")), make("two", sql("a = 2"))],
        maxDeliveryCount: 5
      })
      assert.strictEqual(subscription.topic, "news")
      assert.strictEqual(subscription.name, "sport")
      assert.deepStrictEqual(two.asked.map(({ method, target }) => `${method} ${target.split("?")[0]}`), [
        "PUT /news/Subscriptions/sport",
        "PUT /news/Subscriptions/sport/Rules/two"
      ])
      assert.match(
        two.asked[0]!.body,
        /<DefaultRuleDescription.*a = 1.*<Name>one<\/Name><\/DefaultRuleDescription><MaxDel/
      )
      const none = yield* against([created, { status: 200 }])
      yield* none.administration.createSubscription(Sport, { rules: [] })
      assert.match(none.asked[0]!.body, /FalseFilter/)
      assert.strictEqual(none.asked[1]!.target, "/news/Subscriptions/sport/Rules/$Default?api-version=2021-05")
    }))

  it.effect("has rules that are changed where they are, and keeps what this version does not know", () =>
    Effect.gen(function*() {
      const found: Http.Answer = {
        status: 200,
        body: `<entry xmlns="${AtomXml.atom}"><title>r</title><content><RuleDescription xmlns="${AtomXml.connect}" ` +
          `xmlns:i="${AtomXml.instance}"><Filter i:type="NewFilter"><Depth>5</Depth></Filter>` +
          `<Action i:type="SqlRuleAction"><SqlExpression>SET a = 1</SqlExpression></Action><Name>r</Name>` +
          "</RuleDescription></content></entry>"
      }
      const { administration, asked } = yield* against([found, found])
      yield* administration.updateRule(Sport, "r", (listed) => {
        assert.strictEqual(listed.filter._tag, "UnknownFilter")
        assert.strictEqual(listed.action?._tag, "SqlAction")
        return { action: null }
      })
      assert.strictEqual(asked[1]!.headers["if-match"], "*")
      assert.include(asked[1]!.body, `<Filter i:type="NewFilter"><Depth>5</Depth></Filter><Name>`)
    }))
})
