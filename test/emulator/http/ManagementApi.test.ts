/** The management API of the broker: what is made, read, changed, listed and deleted, and what is refused with which words. */
import { Effect, Result } from "effect"
import { TestClock } from "effect/testing"
import type { HttpAnswer } from "../../../src/emulator/http/HttpMessage.ts"
import * as AtomXml from "../../../src/internal/administration/AtomXml.ts"
import { Writer } from "../../../src/internal/amqp/codec/Writer.ts"
import { message, ok } from "../../support/broker.ts"
import { type Ask, managementApi, tokenOf } from "../../support/managementApi.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const entryOf = (description: string, elements = ""): string =>
  `<entry xmlns="${AtomXml.atom}"><content type="application/xml"><${description} xmlns="${AtomXml.connect}" xmlns:i="${AtomXml.instance}">${elements}</${description}></content></entry>`

const queue = (elements?: string) => entryOf("QueueDescription", elements)
const topic = (elements?: string) => entryOf("TopicDescription", elements)
const subscription = (elements?: string) => entryOf("SubscriptionDescription", elements)
const rule = (elements?: string) => entryOf("RuleDescription", elements)

const update = { "if-match": "*" }

/** The text of the first element of a name. */
const said = ({ body }: HttpAnswer, name: string): string | undefined =>
  new RegExp(`<(?:\\w+:)?${name}(?: [^>]*)?>([^<]*)<`).exec(body)?.[1]

/** Statuses and texts without the suffix. */
const refusal = (answer: HttpAnswer): string =>
  `${answer.status} ${
    said(answer, "Detail")?.replace(/ ?TrackingId:[\w-]+, SystemTracker:(.*), Timestamp:[\dT:-]+$/, " [$1]")
  }`

const titles = ({ body }: HttpAnswer) =>
  [...body.matchAll(/<entry.*?<title type="text">([^<]*)</g)].map(([, name]) => name)

const asking = <A, E>(
  run: (ask: Effect.Success<ReturnType<typeof managementApi>>) => Effect.Effect<A, E>,
  entities?: Parameters<typeof managementApi>[1]
) => Effect.scoped(Effect.flatMap(managementApi("localhost", entities), run))

const statuses = (ask: Ask, requests: ReadonlyArray<Parameters<Ask>>) =>
  Effect.map(Effect.forEach(requests, (request) => ask(...request)), (answers) => answers.map(({ status }) => status))

describe("who may ask", () => {
  it.effect("tokens of HTTP as all clients write them, with the right Manage", () =>
    asking((ask) =>
      Effect.gen(function*() {
        yield* ask("PUT", "/orders", queue())
        const status = (authorization: string | undefined) =>
          Effect.map(
            ask("GET", "/orders?api-version=2021-05", "", authorization === undefined ? {} : { authorization }),
            (answer) => answer.status
          )
        for (
          const resource of [
            "https://localhost/", // .NET
            "sb://localhost/orders",
            "http://localhost:5300/orders?api-version=2021-05" // JavaScript: the whole URL
          ]
        ) assert.strictEqual(yield* status(tokenOf(resource)), 200, resource)
        for (const resource of ["https://localhost/other", "https://contoso.servicebus.windows.net/"]) {
          assert.strictEqual(yield* status(tokenOf(resource)), 401, resource)
        }
      })
    ))

  it.effect("others are told why", () =>
    asking((ask) =>
      Effect.gen(function*() {
        const with_ = (authorization: string) => (method: string) =>
          Effect.map(ask(method, "/orders", "", { authorization }), refusal)
        const user = with_(tokenOf("https://localhost/", "user"))
        assert.strictEqual(
          yield* user("GET"),
          "401 Manage,EntityRead claims required for this operation. [localhost:orders]"
        )
        assert.match(yield* user("PUT"), /^401 Manage,EntityWrite/)
        assert.match(yield* user("DELETE"), /^401 Manage,EntityDelete/)
        assert.match(
          yield* with_("nonsense")("GET"),
          /^401 claim is empty or token is invalid\. The token is malformed\./
        )
        assert.match(yield* with_(tokenOf("https://localhost/", "nobody"))("GET"), /invalid signature/)
        yield* TestClock.setTime(10_000_000_001_000)
        assert.match(yield* with_(tokenOf("https://localhost/"))("GET"), /^401 .*expired/)
      })
    ))

  it.effect("keys of an entity's own policies sign for it, and for what is within it", () =>
    asking((ask) =>
      Effect.gen(function*() {
        const rule = (name: string, rights: string, key: string) =>
          `<AuthorizationRule i:type="SharedAccessAuthorizationRule"><Rights>${
            rights.replace(/\w+/g, "<AccessRights>$&</AccessRights>")
          }</Rights><KeyName>${name}</KeyName><PrimaryKey>first</PrimaryKey><SecondaryKey>${key}</SecondaryKey></AuthorizationRule>`
        const rules = (...all: ReadonlyArray<string>) =>
          topic(`<AuthorizationRules>${all.join("")}</AuthorizationRules>`)
        yield* ask("PUT", "/news", rules(rule("own", "Manage Send Listen", "second"), rule("other", "Send", "second")))
        yield* ask("PUT", "/news/Subscriptions/all", subscription())
        yield* ask("PUT", "/newsletter", queue())
        const status = (path: string, keyName: string, key: string, resource = "https://localhost/news") =>
          Effect.map(
            ask("GET", path, "", { authorization: tokenOf(resource, keyName, key) }),
            (answer) => answer.status
          )
        assert.strictEqual(yield* status("/news", "own", "first"), 200)
        assert.strictEqual(yield* status("/NEWS/Subscriptions/all", "own", "second"), 200)
        assert.strictEqual(yield* status("/news", "own", "third"), 401)
        assert.strictEqual(yield* status("/news", "other", "second"), 401)
        assert.strictEqual(yield* status("/newsletter", "own", "first"), 401)
        // The namespace has no such policy.
        assert.strictEqual(yield* status("/news", "own", "first", "https://localhost/"), 401)
        yield* ask("PUT", "/news", rules(rule("other", "Send", "second")), update)
        assert.strictEqual(yield* status("/news", "own", "first"), 401)
      })
    ))
})

describe("queues and topics", () => {
  it.effect("are what was asked for in the broker, too", () =>
    asking((ask) =>
      Effect.gen(function*() {
        yield* ask("PUT", "/target", queue())
        const settings =
          "<LockDuration>PT30S</LockDuration><MaxSizeInMegabytes>2048</MaxSizeInMegabytes><RequiresDuplicateDetection>true</RequiresDuplicateDetection><RequiresSession>true</RequiresSession><DefaultMessageTimeToLive>PT1H</DefaultMessageTimeToLive><DeadLetteringOnMessageExpiration>true</DeadLetteringOnMessageExpiration><DuplicateDetectionHistoryTimeWindow>PT1M</DuplicateDetectionHistoryTimeWindow><MaxDeliveryCount>3</MaxDeliveryCount><EnableBatchedOperations>false</EnableBatchedOperations><Status>SendDisabled</Status><ForwardTo>http://localhost/Target</ForwardTo><UserMetadata>  of mine </UserMetadata><AutoDeleteOnIdle>P1DT1H</AutoDeleteOnIdle><ForwardDeadLetteredMessagesTo>sb://localhost:5672/target</ForwardDeadLetteredMessagesTo><MaxMessageSizeInKilobytes>1024</MaxMessageSizeInKilobytes><SomethingNewer>5</SomethingNewer>"
        const created = yield* ask("PUT", "/Orders/Up.case?api-version=2021-05", queue(settings))
        assert.strictEqual(created.status, 201)
        assert.deepStrictEqual(ask.broker.declaration("orders/up.case")!.settings, {
          lockDuration: 30_000,
          maxDeliveryCount: 3,
          defaultTimeToLive: 3_600_000,
          deadLetteringOnExpiration: true,
          deadLetteringOnFilterError: true,
          duplicateDetectionWindow: 60_000,
          requiresSession: true,
          maxSize: 2048 * 1024 * 1024,
          maxMessageSize: 1024 * 1024,
          forwardTo: "target",
          forwardDeadLetteredMessagesTo: "target",
          status: "SendDisabled",
          autoDeleteOnIdle: 90_000_000
        })
        const read = yield* ask("GET", "/orders/up.case?api-version=2021-05")
        assert.strictEqual(said(read, "title"), "Orders/Up.case")
        for (const [, name, value] of settings.matchAll(/<(\w+)>([^<]*)</g)) {
          assert.strictEqual(said(read, name!), name === "SomethingNewer" ? undefined : value, name)
        }
      })
    ))

  it.effect("an update has the default for what it leaves out, and leaves what cannot be changed", () =>
    asking((ask) =>
      Effect.gen(function*() {
        yield* ask("PUT", "/target", queue())
        yield* ask(
          "PUT",
          "/orders",
          queue(
            "<RequiresSession>true</RequiresSession><DefaultMessageTimeToLive>PT1H</DefaultMessageTimeToLive><ForwardTo>target</ForwardTo><UserMetadata>a</UserMetadata>"
          )
        )
        yield* TestClock.adjust("1 minute")
        const updated = yield* ask("PUT", "/orders", queue("<MaxDeliveryCount>4</MaxDeliveryCount>"), update)
        assert.strictEqual(updated.status, 200)
        const { createdAt, settings, updatedAt } = ask.broker.declaration("orders")!
        assert.deepInclude(settings, {
          maxDeliveryCount: 4,
          requiresSession: true,
          defaultTimeToLive: undefined,
          forwardTo: undefined
        })
        assert.strictEqual(updatedAt - createdAt, 60_000)
        const read = yield* ask("GET", "/orders")
        assert.isUndefined(said(read, "UserMetadata"))
        assert.strictEqual(said(read, "AccessedAt"), "0001-01-01T00:00:00Z")
        assert.strictEqual(
          refusal(yield* ask("PUT", "/orders", queue("<RequiresSession>false</RequiresSession>"), update)),
          "400 SubCode=40000. The value for the RequiresSession property of an existing Queue cannot be changed. To know more visit https://aka.ms/sbResourceMgrExceptions. . [localhost:orders]"
        )
      })
    ))

  it.effect("targets are told as they were given, and those of a program as URLs", () =>
    asking((ask) =>
      Effect.gen(function*() {
        const targetOf = (path: string) => Effect.map(ask("GET", path), (read) => said(read, "ForwardTo"))
        assert.strictEqual(yield* targetOf("/declared"), "sb://localhost/Target")
        // Java writes back what it has read, and takes nothing but this for a URL.
        const given = "<ForwardTo>https://localhost/target</ForwardTo>"
        yield* ask("PUT", "/orders", queue(given))
        assert.strictEqual(yield* targetOf("/orders"), "https://localhost/target")
        assert.isTrue(Result.isSuccess(ask.broker.update("orders", { forwardTo: "other" })))
        assert.strictEqual(yield* targetOf("/orders"), "sb://localhost/other")
      }), [{ name: "Target" }, { name: "other" }, { name: "declared", options: { forwardTo: "target" } }]))

  it.effect("an update under a condition holds for the etag of now alone", () =>
    asking((ask) =>
      Effect.gen(function*() {
        yield* ask("PUT", "/orders", queue())
        const { etag } = (yield* ask("GET", "/orders")).headers
        assert.match(etag!, /^62135596800\d{7}$/)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(
          yield* statuses(ask, [
            ["PUT", "/orders", queue(), { "if-match": etag! }],
            ["PUT", "/orders", queue(), { "if-match": etag! }],
            ["PUT", "/orders", queue(), { "if-match": "*" }]
          ]),
          [200, 412, 200]
        )
      })
    ))

  it.effect("counts are told always, with what is in the dead-letter queue", () =>
    asking((ask) =>
      Effect.gen(function*() {
        yield* ask("PUT", "/orders", queue())
        ok(ask.broker.queue("orders")!.send([message("a", { bytes: 10 }), message("b", { bytes: 5 })]))
        ok(ask.broker.queue("orders")!.failTransfer([message("c")], undefined, undefined))
        for (const target of ["/orders?enrich=False", "/$Resources/queues?enrich=false"]) {
          const read = yield* ask("GET", target)
          const counts = ["MessageCount", "ActiveMessageCount", "TransferDeadLetterMessageCount"]
          assert.deepStrictEqual(counts.map((name) => said(read, name)), ["3", "2", "1"])
          assert.strictEqual(said(read, "SizeInBytes"), String(ask.broker.runtime("orders")!.sizeInBytes))
        }
      })
    ))

  const values: ReadonlyArray<readonly [elements: string, text: RegExp]> = [
    [
      "<LockDuration>PT6M</LockDuration>",
      /The supplied lock time exceeds the allowed maximum of '5' minutes\..*Actual value was 00:06:00\./s
    ],
    ["<LockDuration>soon</LockDuration>", /LockDuration is not a duration/],
    [
      "<MaxSizeInMegabytes>7</MaxSizeInMegabytes>",
      /The specified value 7 is invalid\. The property 'MaxSizeInMegabytes', must be one of the following values: 1024;2048;3072;4096;5120\./
    ],
    [
      "<DuplicateDetectionHistoryTimeWindow>PT19S</DuplicateDetectionHistoryTimeWindow>",
      /between 00:00:20 and 7\.00:00:00\..*DuplicateDetectionHistoryTimeWindow/s
    ],
    [
      "<DefaultMessageTimeToLive>PT0.5S</DefaultMessageTimeToLive>",
      /between 00:00:01 and .*Actual value was 00:00:00\.5000000\./s
    ],
    ["<AutoDeleteOnIdle>PT4M</AutoDeleteOnIdle>", /between 00:05:00 and 10675199\.02:48:05\.4775807/],
    ["<MaxDeliveryCount>2001</MaxDeliveryCount>", /MaxDeliveryCount/],
    ["<MaxMessageSizeInKilobytes>0</MaxMessageSizeInKilobytes>", /MaxMessageSizeInKilobytes/],
    [`<UserMetadata>${"x".repeat(1025)}</UserMetadata>`, /UserMetadata/],
    ["<Status>Renaming</Status>", /status must be/],
    [
      "<ForwardTo>sb://localhost/nowhere</ForwardTo>",
      /destination entity &quot;nowhere&quot; does not exist|destination entity "nowhere" does not exist/
    ],
    ["<ForwardTo>sb://localhost/orders</ForwardTo>", /auto-forwarding policy to itself/]
  ]
  it.effect("values that cannot be are refused by name, and nothing has happened", () =>
    asking((ask) =>
      Effect.gen(function*() {
        for (const [elements, text] of values) {
          const answer = yield* ask("PUT", "/orders", queue(elements))
          assert.strictEqual(answer.status, 400, elements)
          assert.match(refusal(answer), text)
        }
        for (
          const body of ["", "<entry", topic().replace("TopicDescription", "Other"), entryOf("RuleDescription"), "<a/>"]
        ) {
          assert.strictEqual((yield* ask("PUT", "/orders", body)).status, 400)
        }
        assert.deepStrictEqual(ask.broker.declarations(), [])
      })
    ))

  it.effect("a partitioned queue shows the size of all partitions, and takes that of one", () =>
    asking((ask) =>
      Effect.gen(function*() {
        const partitioned = (size: number) =>
          queue(`<MaxSizeInMegabytes>${size}</MaxSizeInMegabytes><EnablePartitioning>true</EnablePartitioning>`)
        yield* ask("PUT", "/orders", partitioned(1024))
        assert.strictEqual(said(yield* ask("GET", "/orders"), "MaxSizeInMegabytes"), "16384")
        assert.match(
          refusal(yield* ask("PUT", "/orders", partitioned(16_384), update)),
          /The specified value 16384 is invalid/
        )
        yield* ask("PUT", "/orders", partitioned(2048), update)
        assert.strictEqual(said(yield* ask("GET", "/orders"), "MaxSizeInMegabytes"), "32768")
        // One that a program has declared with a size of its own is written back as it is.
        assert.strictEqual(said(yield* ask("GET", "/small"), "MaxSizeInMegabytes"), "1")
        assert.strictEqual(
          (yield* ask("PUT", "/small", queue("<MaxSizeInMegabytes>1</MaxSizeInMegabytes>"), update)).status,
          200
        )
      }), [{ name: "small", options: { maxSize: 1000 } }]))

  it.effect("names are segments of letters, digits, periods, hyphens and underscores", () =>
    asking((ask) =>
      Effect.gen(function*() {
        const taken = [
          "/a",
          "/a%2Fb",
          "/wolverine.response.NAME.-159",
          "/MassTransit/Fault--Ns/Type--",
          "/caf%C3%A9",
          `/${"q".repeat(260)}`
        ]
        const refused = [
          "/a//b",
          "/a%20b",
          "/%20a",
          "/$x",
          "/a+b",
          "/a@b",
          "/a%3Fb",
          "/a:b",
          "/%E0%A4%A",
          "/",
          `/${"q".repeat(261)}`
        ]
        assert.deepStrictEqual(
          yield* statuses(ask, [...taken, ...refused].map((target) => ["PUT", target, queue()])),
          [...taken.map(() => 201), ...refused.map(() => 400)]
        )
        assert.strictEqual(
          refusal(yield* ask("PUT", "/a%20b?api-version=2021-05", queue())),
          "400 SubCode=40000. 'http://localhost/a%20b?api-version=2021-05' contains character(s) that is not allowed by Service Bus. Entity segments can contain only letters, numbers, periods (.), hyphens (-), and underscores (_). [localhost:a b]"
        )
      })
    ))

  it.effect("what is there, and what is not, is told in the service's words", () =>
    asking((ask) =>
      Effect.gen(function*() {
        yield* ask("PUT", "/orders", queue())
        yield* ask("PUT", "/news", topic())
        assert.deepStrictEqual(
          yield* statuses(ask, [
            ["PUT", "/ORDERS", queue()],
            ["PUT", "/orders", topic()],
            ["PUT", "/news", topic()],
            ["PUT", "/nope", queue(), update],
            ["DELETE", "/nope"],
            ["GET", "/nope"],
            ["POST", "/orders"],
            ["PUT", "/orders", topic(), update],
            ["HEAD", "/orders"],
            ["DELETE", "/orders"],
            ["DELETE", "/orders"]
          ]),
          [409, 409, 409, 404, 404, 200, 400, 400, 200, 200, 404]
        )
        const nothing = yield* ask("GET", "/nope")
        assert.strictEqual(said(nothing, "title"), "Publicly Listed Services")
        assert.notInclude(nothing.body, "<entry")
      })
    ))

  it.effect("policies are kept, with keys of their own where none are given", () =>
    asking((ask) =>
      Effect.gen(function*() {
        const policy = (name: string, rights: ReadonlyArray<string>, keys = "") =>
          `<AuthorizationRule i:type="SharedAccessAuthorizationRule"><ClaimType>SharedAccessKey</ClaimType><ClaimValue>None</ClaimValue><Rights>${
            rights.map((right) => `<AccessRights>${right}</AccessRights>`).join("")
          }</Rights><KeyName>${name}</KeyName>${keys}</AuthorizationRule>`
        const policies = (...all: ReadonlyArray<string>) =>
          queue(`<AuthorizationRules>${all.join("")}</AuthorizationRules>`)
        yield* ask("PUT", "/orders", policies(policy("mine", ["Send"], "<PrimaryKey>abc</PrimaryKey>")))
        const first = yield* ask("GET", "/orders")
        assert.strictEqual(said(first, "PrimaryKey"), "abc")
        const second = said(first, "SecondaryKey")!
        assert.lengthOf(second, 44)
        yield* ask("PUT", "/orders", policies(policy("mine", ["Listen"], "<PrimaryKey /><SecondaryKey />")), update)
        const changed = yield* ask("GET", "/orders")
        assert.deepStrictEqual(
          ["AccessRights", "PrimaryKey", "SecondaryKey"].map((name) => said(changed, name)),
          ["Listen", "abc", second]
        )
        const many = Array.from({ length: 13 }, (_, i) => policy(`p${i}`, ["Send"]))
        for (
          const refused of [
            policies(...many),
            policies(many[0]!, many[0]!),
            policies(policy("m", ["Manage"])),
            policies(policy("m", ["Fly"]))
          ]
        ) assert.strictEqual((yield* ask("PUT", "/other", refused)).status, 400)
      })
    ))
})

describe("a list", () => {
  const names = Array.from({ length: 250 }, (_, index) => `q${index}`)
  it.effect("comes in pages, by name, with a link to the next one", () =>
    asking((ask) =>
      Effect.gen(function*() {
        const all: Array<string | undefined> = []
        const pages: Array<number> = []
        for (
          let target: string | undefined = "/$Resources/queues?$skip=0&$top=100&api-version=2021-05";
          target !== undefined;
        ) {
          const page: HttpAnswer = yield* ask("GET", target)
          all.push(...titles(page))
          pages.push(titles(page).length)
          const next = /<link rel="next" href="http:\/\/localhost([^"]*)"/.exec(page.body)?.[1]?.replaceAll(
            "&amp;",
            "&"
          )
          if (pages.length === 1) {
            assert.strictEqual(next, "/$Resources/queues?%24skip=100&%24top=100&api-version=2021-05")
          }
          target = next
        }
        assert.deepStrictEqual(pages, [100, 100, 50])
        assert.deepStrictEqual(all, names.toSorted())
        assert.deepStrictEqual(titles(yield* ask("GET", "/$resources/Queues?%24skip=249&%24top=5")), ["q99"])
        assert.deepStrictEqual(titles(yield* ask("GET", "/$Resources/queues?$skip=300")), [])
        assert.deepStrictEqual(titles(yield* ask("GET", "/$Resources/topics")), [])
      }), names.map((name) => ({ name }))))

  it.effect("looks through the entities once, however many it tells of", () =>
    asking((ask) =>
      Effect.gen(function*() {
        const { declarations } = ask.broker
        let times = 0
        Object.assign(ask.broker, {
          declarations: () => {
            times += 1
            return declarations()
          }
        })
        const listed = yield* ask("GET", "/$Resources/topics?api-version=2024-05")
        assert.lengthOf(titles(listed), 100)
        assert.strictEqual(said(listed, "SqlFilterCount"), "0")
        assert.strictEqual(times, 1)
      }), names.map((name) => ({ kind: "topic", name }))))

  it.effect("is of whole numbers", () =>
    asking((ask) =>
      Effect.gen(function*() {
        assert.match(
          refusal(yield* ask("GET", "/$Resources/queues?$skip=-1")),
          /^400 Parameter 'skip' should be non-negative integer\.(&#xD;)?\s*Parameter name: skip\. \[localhost:\$Resources\/queues\]$/
        )
        assert.match(refusal(yield* ask("GET", "/$Resources/queues?$top=x")), /^400 Parameter 'top'/)
      })
    ))
})

describe("subscriptions and rules", () => {
  it.effect("are made with their first rule, and read, listed, changed and deleted", () =>
    asking((ask) =>
      Effect.gen(function*() {
        yield* ask("PUT", "/News/today", topic())
        yield* ask("PUT", "/sink", queue())
        const created = yield* ask(
          "PUT",
          "/news/TODAY/Subscriptions/Sport?api-version=2024-05",
          subscription(
            `<LockDuration>PT30S</LockDuration><DefaultRuleDescription><Filter i:type="SqlFilter"><SqlExpression>a = 1</SqlExpression><Parameters /></Filter><Name>mine</Name></DefaultRuleDescription><ForwardTo>http://localhost/sink</ForwardTo>`
          ),
          { servicebussupplementaryauthorization: "whatever" }
        )
        assert.strictEqual(created.status, 201)
        assert.strictEqual(said(created, "id"), "http://localhost/news/TODAY/Subscriptions/Sport?api-version=2024-05")
        assert.notInclude(created.body, "DefaultRuleDescription")
        const read = yield* ask("GET", "/news/today/subscriptions/sport?enrich=True&api-version=2024-05")
        assert.strictEqual(
          said(read, "id"),
          "sb://localhost/news/today/subscriptions/sport?enrich=True&amp;api-version=2024-05"
        )
        assert.strictEqual(said(read, "title"), "Sport")
        assert.strictEqual(said(read, "ForwardTo"), "http://localhost/sink")
        assert.strictEqual(said(read, "IsClientAffine"), "false")
        assert.deepStrictEqual(titles(yield* ask("GET", "/news/today/Subscriptions/Sport/rules")), ["mine"])
        assert.deepStrictEqual(titles(yield* ask("GET", "/news/today/Subscriptions/")), ["Sport"])
        const counted = yield* ask("GET", "/news/today?api-version=2024-05")
        assert.deepStrictEqual(
          ["SubscriptionCount", "SqlFilterCount", "CorrelationFilterCount"].map((name) => said(counted, name)),
          ["1", "1", "0"]
        )
        assert.deepStrictEqual(
          yield* statuses(ask, [
            ["PUT", "/news/today/Subscriptions/Sport", subscription("<MaxDeliveryCount>2</MaxDeliveryCount>"), update],
            ["PUT", "/news/today/Subscriptions/Sport/Rules/other", rule()],
            ["DELETE", "/news/today/Subscriptions/Sport/Rules/MINE"],
            ["DELETE", "/news/today/Subscriptions/Sport"],
            ["DELETE", "/news/today"]
          ]),
          [200, 201, 200, 200, 200]
        )
      })
    ))

  it.effect("values of rules are of their types, so that AMQP has a form for each", () =>
    asking((ask) =>
      Effect.gen(function*() {
        yield* ask("PUT", "/news", topic())
        yield* ask("PUT", "/news/Subscriptions/all", subscription())
        const status = (type: string, value: string) =>
          Effect.map(
            ask(
              "PUT",
              `/news/Subscriptions/all/Rules/${type}`,
              rule(
                `<Filter i:type="CorrelationFilter"><Properties><KeyValueOfstringanyType><Key>k</Key><Value i:type="s:${type}" xmlns:s="${AtomXml.schema}">${value}</Value></KeyValueOfstringanyType></Properties></Filter>`
              )
            ),
            (answer) => answer.status
          )
        const wrong = {
          byte: "300",
          unsignedByte: "-1",
          short: "40000",
          unsignedInt: "-5",
          unsignedLong: "18446744073709551616",
          long: "9223372036854775808",
          guid: "no guid",
          char: "65536",
          dateTime: "9999-12-31T23:59:59-14:00"
        }
        for (const [type, value] of Object.entries(wrong)) assert.strictEqual(yield* status(type, value), 400, type)
        const usable = {
          byte: "-128",
          unsignedByte: "255",
          unsignedLong: "18446744073709551615",
          long: "9223372036854775807",
          guid: "0F8FAD5B-D9CB-469F-A165-70867728950E",
          dateTime: "9999-12-31T23:59:59.999Z",
          // TimeSpan.MaxValue is no duration without end here.
          duration: "P10675199DT2H48M5.4775807S"
        }
        for (const [type, value] of Object.entries(usable)) assert.strictEqual(yield* status(type, value), 201, type)
        const listed = yield* ask("GET", "/news/Subscriptions/all/Rules")
        assert.include(listed.body, ">P10675199DT2H48M5.4775807S<")
        const writer = new Writer()
        for (const { filter } of ask.broker.queue("news/Subscriptions/all")!.rules!.list()) {
          if (filter._tag === "CorrelationFilter") writer.value(filter.applicationProperties!)
        }
      })
    ))

  it.effect("a rule that is changed keeps its time, and what is refused leaves it as it was", () =>
    asking((ask) =>
      Effect.gen(function*() {
        const path = "/news/Subscriptions/all/Rules/a"
        const sql = (expression: string) =>
          rule(`<Filter i:type="SqlFilter"><SqlExpression>${expression}</SqlExpression></Filter><Name>other</Name>`)
        yield* ask("PUT", "/news", topic())
        yield* ask("PUT", "/news/Subscriptions/all", subscription())
        yield* ask("PUT", path, sql("a = 1"))
        const created = said(yield* ask("GET", path), "CreatedAt")
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* ask("PUT", path, sql("a = 2"), update)).status, 200)
        const refused = yield* ask("PUT", path, sql("a ="), update)
        assert.strictEqual(refused.status, 400)
        const read = yield* ask("GET", path)
        assert.deepStrictEqual(
          ["SqlExpression", "CreatedAt", "Name", "title"].map((name) => said(read, name)),
          ["a = 2", created, "a", "a"]
        )
      })
    ))

  it.effect("an administrator may change rules while the subscription or its topic is disabled", () =>
    asking((ask) =>
      Effect.gen(function*() {
        const disabled = "<Status>Disabled</Status>"
        yield* ask("PUT", "/news", topic(disabled))
        yield* ask("PUT", "/news/Subscriptions/all", subscription(disabled))
        assert.deepStrictEqual(
          yield* statuses(ask, [
            ["PUT", "/news/Subscriptions/all/Rules/a", rule()],
            ["PUT", "/news/Subscriptions/all/Rules/a", rule(`<Filter i:type="FalseFilter"/>`), update],
            ["DELETE", "/news/Subscriptions/all/Rules/$Default"]
          ]),
          [201, 200, 200]
        )
        const listed = yield* ask("GET", "/news/Subscriptions/all/Rules")
        assert.deepStrictEqual(titles(listed), ["a"])
        assert.include(listed.body, "FalseFilter")
      })
    ))

  it.effect("what is there, and what is not, is told in the service's words", () =>
    asking((ask) =>
      Effect.gen(function*() {
        yield* ask("PUT", "/news", topic())
        yield* ask("PUT", "/news/Subscriptions/all", subscription())
        const of = (...request: Parameters<Ask>) => Effect.map(ask(...request), refusal)
        const notFound = (entity: string) =>
          `404 Entity 'sbemulatorns:Topic:${entity}' was not found. To know more visit https://aka.ms/sbResourceMgrExceptions.  [NoSystemTracker]`
        assert.strictEqual(yield* of("GET", "/news/Subscriptions/nope"), notFound("news|nope"))
        assert.strictEqual(yield* of("DELETE", "/news/Subscriptions/nope"), notFound("news|nope"))
        assert.strictEqual(yield* of("PUT", "/news/Subscriptions/nope", subscription(), update), notFound("news|nope"))
        assert.strictEqual(yield* of("GET", "/news/Subscriptions/nope/rules"), notFound("news|nope"))
        assert.strictEqual(yield* of("DELETE", "/news/Subscriptions/all/Rules/r"), notFound("news|all|r"))
        assert.strictEqual(
          yield* of("PUT", "/news/Subscriptions/all", subscription()),
          "409 The messaging entity 'sbemulatorns:Topic:news|all' already exists. To know more visit https://aka.ms/sbResourceMgrExceptions.  [NoSystemTracker]"
        )
        assert.deepStrictEqual(
          yield* statuses(ask, [
            ["PUT", "/nope/Subscriptions/all", subscription()],
            ["GET", "/nope/Subscriptions"],
            ["GET", "/nope/Subscriptions/all"],
            ["PUT", "/news/Subscriptions/a/b", subscription()],
            ["PUT", "/news/Subscriptions/a%20b", subscription()],
            ["PUT", `/news/Subscriptions/${"s".repeat(51)}`, subscription()],
            ["PUT", "/news/Subscriptions/all/Rules/a/b", rule()],
            ["PUT", "/news/Subscriptions/all/Rules/", rule()],
            ["PUT", `/news/Subscriptions/all/Rules/${"r".repeat(51)}`, rule()],
            ["PUT", "/news/Subscriptions/all/Rules/r", queue()]
          ]),
          [404, 404, 200, 400, 400, 400, 400, 400, 400, 400]
        )
      })
    ))
})

describe("beside entities", () => {
  it.effect("the namespace, its root and its health are told", () =>
    asking((ask) =>
      Effect.gen(function*() {
        const namespace = yield* ask("GET", "/$namespaceinfo?api-version=2024-05&enrich=False")
        assert.deepStrictEqual(
          ["MessagingSKU", "Name", "NamespaceType"].map((name) => said(namespace, name)),
          ["Standard", "sbemulatorns", "Messaging"]
        )
        assert.strictEqual((yield* ask("GET", "/", "", { authorization: "" })).status, 200)
        const health = yield* ask("GET", "/health", "", { authorization: "" })
        assert.deepStrictEqual([health.status, health.body], [
          200,
          `{"status":"healthy","message":"Service is healthy."}`
        ])
      })
    ))
})
