import { AmqpValue, ServiceBusRule } from "effect-service-bus"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as AtomXml from "../../src/internal/administration/AtomXml.ts"
import * as Description from "../../src/internal/administration/Description.ts"
import * as Text from "../../src/internal/administration/XmlText.ts"
import { generator } from "../support/random.ts"
import * as Recordings from "../support/recordings.ts"
import { assert, describe, it } from "../support/vitest.ts"

const { connect, element, parse, print } = AtomXml

/** Reads a description, and writes it again. */
const reader =
  <F extends Description.Fields>(kind: Description.Kind<F>) =>
  (description: AtomXml.Element, as: "answer" | "request") => {
    const values = Result.getOrThrow(Description.read(kind, description))
    return { written: Description.write(kind, values, as), unknown: values.unknown ?? [] }
  }

const readers = {
  QueueDescription: reader(Description.queue),
  TopicDescription: reader(Description.topic),
  SubscriptionDescription: reader(Description.subscription),
  RuleDescription: reader(Description.rule),
  NamespaceInfo: reader(Description.namespaceInfo)
}

const again = (description: AtomXml.Element, as: "answer" | "request") =>
  readers[description.name as keyof typeof readers](description, as)

const descriptionsOf = (root: AtomXml.Element): ReadonlyArray<AtomXml.Element> => {
  const envelope = AtomXml.envelopeOf(root)
  const contents = envelope?._tag === "Entry"
    ? [envelope.content]
    : envelope?.entries.map((entry) => entry.content) ?? []
  return contents.filter((content) => content !== undefined && content.namespace === connect) as ReadonlyArray<
    AtomXml.Element
  >
}

/** What is read and not kept; empty parameters stand in lists alone. */
const isSaid = ({ children, name }: AtomXml.Element): boolean =>
  name !== "RequiresPreprocessing" && (name !== "Parameters" || children.length > 0)

/** What an element says, with times in milliseconds: the service's have ticks of 100 ns, ours have not. */
const saying = (node: AtomXml.Element): unknown => {
  const type = AtomXml.typeOf(node)
  const text = AtomXml.textOf(node)
  const elements = AtomXml.elementsOf(node)
  const isTime = /^\d{4}-\d\d-\d\dT/.test(text)
  return {
    name: node.name,
    ...(type === undefined ? {} : { type: type.name }),
    ...(elements.length > 0
      ? { elements: elements.filter(isSaid).map(saying) }
      : { text: isTime ? Text.dateTime.print(Text.dateTime.parse(text)!) : text })
  }
}

describe("Description", () => {
  it.effect("reads elements in any order, keeps those it does not know, and writes them at the end", () =>
    Effect.gen(function*() {
      const root = yield* parse(
        `<x:QueueDescription xmlns:x="${connect}" xmlns:i="${AtomXml.instance}" xmlns="urn:other">
          <x:MaxDeliveryCount> 7 </x:MaxDeliveryCount>
          <x:NewSetting kind="a"><x:Inner i:type="x:b">5</x:Inner></x:NewSetting>
          <LockDuration>nonsense of another namespace</LockDuration>
          <x:UserMetadata> kept as it is </x:UserMetadata>
          <x:ForwardTo i:nil="true"/>
          <x:LockDuration>PT30S</x:LockDuration>
          <x:LockDuration>PT5M</x:LockDuration>
          <x:Status>Renaming</x:Status>
        </x:QueueDescription>`
      )
      const values = Result.getOrThrow(Description.read(Description.queue, root))
      assert.strictEqual(values.MaxDeliveryCount, 7)
      assert.strictEqual(Duration.toMillis(values.LockDuration!), 30_000)
      assert.strictEqual(values.UserMetadata, " kept as it is ")
      assert.strictEqual(values.Status, "Renaming")
      assert.isUndefined(values.ForwardTo)
      assert.deepStrictEqual(values.unknown!.map(({ name }) => name), ["NewSetting", "LockDuration"])
      const written = yield* parse(print(Description.write(Description.queue, values, "request")))
      assert.deepStrictEqual(AtomXml.elementsOf(written).map(({ name, namespace }) => [name, namespace]), [
        ["LockDuration", connect],
        ["MaxDeliveryCount", connect],
        ["Status", connect],
        ["UserMetadata", connect],
        ["NewSetting", connect],
        ["LockDuration", "urn:other"]
      ])
      const inner = AtomXml.elementsOf(AtomXml.childOf(written, "NewSetting")!)[0]!
      assert.deepStrictEqual(AtomXml.typeOf(inner), { name: "b", namespace: connect })
    }))

  it("requests have the order of Microsoft's client for .NET, in which the service looks for them", () => {
    // As captured of Azure.Messaging.ServiceBus 7.21: the broker takes any order, so that no test against it sees another one.
    assert.strictEqual(
      Description.queue.requested.join(" "),
      "LockDuration MaxSizeInMegabytes RequiresDuplicateDetection RequiresSession DefaultMessageTimeToLive DeadLetteringOnMessageExpiration DuplicateDetectionHistoryTimeWindow MaxDeliveryCount EnableBatchedOperations IsAnonymousAccessible AuthorizationRules Status ForwardTo UserMetadata SupportOrdering AutoDeleteOnIdle EnablePartitioning ForwardDeadLetteredMessagesTo EnableExpress MaxMessageSizeInKilobytes"
    )
    assert.strictEqual(
      Description.topic.requested.join(" "),
      "DefaultMessageTimeToLive MaxSizeInMegabytes RequiresDuplicateDetection DuplicateDetectionHistoryTimeWindow EnableBatchedOperations FilteringMessagesBeforePublishing IsAnonymousAccessible AuthorizationRules Status UserMetadata SupportOrdering AutoDeleteOnIdle EnablePartitioning EnableSubscriptionPartitioning EnableExpress MaxMessageSizeInKilobytes"
    )
    assert.strictEqual(
      Description.subscription.requested.join(" "),
      "LockDuration RequiresSession DefaultMessageTimeToLive DeadLetteringOnMessageExpiration DeadLetteringOnFilterEvaluationExceptions DefaultRuleDescription MaxDeliveryCount EnableBatchedOperations Status ForwardTo UserMetadata ForwardDeadLetteredMessagesTo AutoDeleteOnIdle"
    )
    assert.strictEqual(Description.rule.requested.join(" "), "Filter Action Name")
  })

  it.effect("says which element cannot be read", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [string, string]> = [
        ["<LockDuration>00:01:00</LockDuration>", "LockDuration is not a duration such as PT1M30S"],
        ["<LockDuration></LockDuration>", "LockDuration is not a duration such as PT1M30S"],
        ["<MaxDeliveryCount>1.5</MaxDeliveryCount>", "MaxDeliveryCount is not a whole number"],
        ["<MaxDeliveryCount>99999999999999999999</MaxDeliveryCount>", "MaxDeliveryCount is not a whole number"],
        ["<RequiresSession>yes</RequiresSession>", "RequiresSession is not true or false"],
        ["<CreatedAt>yesterday</CreatedAt>", "CreatedAt is not a time such as 2020-07-05T11:12:13Z"],
        [
          "<AuthorizationRules><Other/></AuthorizationRules>",
          "AuthorizationRules is not a list of shared access policies"
        ]
      ]
      for (const [xml, message] of cases) {
        const root = yield* parse(`<QueueDescription xmlns="${connect}">${xml}</QueueDescription>`)
        const result = Description.read(Description.queue, root)
        assert.strictEqual(Result.isFailure(result) ? result.failure.message : "", message)
      }
      const result = Description.read(Description.queue, element(connect, "TopicDescription"))
      assert.strictEqual(
        Result.isFailure(result) ? result.failure.message : "",
        "TopicDescription is not a QueueDescription"
      )
    }))

  it.effect("takes no name of an element for a name that every object has", () =>
    Effect.gen(function*() {
      const counts = `<CountDetails xmlns:d="http://schemas.microsoft.com/netservices/2011/06/servicebus">` +
        "<d:constructor>none</d:constructor><d:toString/><d:ActiveMessageCount>3</d:ActiveMessageCount></CountDetails>"
      const root = yield* parse(
        `<QueueDescription xmlns="${connect}">${counts}<constructor>1</constructor><valueOf/></QueueDescription>`
      )
      const values = Result.getOrThrow(Description.read(Description.queue, root))
      assert.strictEqual(values.CountDetails?.ActiveMessageCount, 3)
      assert.deepStrictEqual(values.unknown?.map(({ name }) => name), ["constructor", "valueOf"])
    }))

  it("keys that are masked or empty are not there, and no key is shown", () => {
    const policy = (primary: string) =>
      Effect.runSync(
        parse(
          `<QueueDescription xmlns="${connect}" xmlns:i="${AtomXml.instance}"><AuthorizationRules>` +
            `<AuthorizationRule i:type="SharedAccessAuthorizationRule"><Rights><AccessRights>Send</AccessRights></Rights>` +
            `<KeyName>k</KeyName><PrimaryKey>${primary}</PrimaryKey></AuthorizationRule></AuthorizationRules></QueueDescription>`
        ).pipe(
          Effect.map((root) => Result.getOrThrow(Description.read(Description.queue, root)).AuthorizationRules![0]!)
        )
      )
    for (const primary of ["", "   ", "****"]) assert.isUndefined(policy(primary).PrimaryKey)
    const key = policy("c2VjcmV0")
    assert.strictEqual(Redacted.value(key.PrimaryKey!), "c2VjcmV0")
    assert.notInclude(JSON.stringify(key), "c2VjcmV0")
    assert.deepStrictEqual(key.Rights, ["Send"])
  })

  it("durations and times are .NET's", () => {
    const durations: ReadonlyArray<readonly [string, Duration.Duration, string?]> = [
      ["PT1M", Duration.minutes(1)],
      ["P10675199DT2H48M5.4775807S", Duration.infinity],
      ["P3DT4H5M6.789S", Duration.millis(273_906_789)],
      ["PT0.0000001S", Duration.nanos(100n)],
      ["PT0S", Duration.zero],
      ["-PT5S", Duration.seconds(-5)],
      ["P1Y", Duration.days(365), "P365D"],
      ["P1M", Duration.days(30), "P30D"],
      ["PT90S", Duration.seconds(90), "PT1M30S"],
      ["PT24H", Duration.days(1), "P1D"],
      ["P99999999D", Duration.infinity, "P10675199DT2H48M5.4775807S"]
    ]
    for (const [text, value, canonical = text] of durations) {
      const parsed = Text.duration.parse(text)
      assert.deepStrictEqual(parsed, value, text)
      assert.strictEqual(Text.duration.print(value), canonical)
    }
    for (const text of ["", "P", "PT", "P1DT", "P1W", "1M", "pt1m", "00:01:00", "PT1.S"]) {
      assert.isUndefined(Text.duration.parse(text), text)
    }
    const times: ReadonlyArray<readonly [string, string, string?]> = [
      ["2020-07-05T11:12:13Z", "2020-07-05T11:12:13.000Z"],
      ["2020-07-17T02:22:23.0245154Z", "2020-07-17T02:22:23.024Z", "2020-07-17T02:22:23.024Z"],
      ["2021-04-19T17:21:19.95Z", "2021-04-19T17:21:19.950Z"],
      ["0001-01-01T00:00:00", "0001-01-01T00:00:00.000Z", "0001-01-01T00:00:00Z"],
      ["2020-07-05T11:12:13+02:00", "2020-07-05T09:12:13.000Z", "2020-07-05T09:12:13Z"],
      ["2020-07-05T11:12:10Z", "2020-07-05T11:12:10.000Z"]
    ]
    for (const [text, iso, canonical = text] of times) {
      const parsed = Text.dateTime.parse(text)!
      assert.strictEqual(DateTime.formatIso(parsed), iso)
      assert.strictEqual(Text.dateTime.print(parsed), canonical)
    }
    // The second and the third one are none of .NET's in UTC, and nobody could read them again.
    const notTimes = ["2021-02-29T00:00:00Z", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"]
    for (const text of ["", "0000-01-01T00:00:00Z", "2020-13-01T00:00:00Z", "2020-07-05", "5", ...notTimes]) {
      assert.isUndefined(Text.dateTime.parse(text), text)
    }
  })

  it.effect("rules of every kind are read as they are written", () =>
    Effect.gen(function*() {
      const values: Record<string, AmqpValue.AmqpValue> = {
        text: " a\r\n<b> ",
        empty: "",
        yes: true,
        int: -5,
        long: 2n ** 63n - 1n,
        double: 0.1,
        whole: AmqpValue.typed("double", 3),
        infinite: -Infinity,
        negative: -0,
        byte: AmqpValue.typed("ubyte", 255),
        short: AmqpValue.typed("short", -1),
        uint: AmqpValue.typed("uint", 4_294_967_295),
        ulong: AmqpValue.typed("ulong", 2n ** 64n - 1n),
        float: AmqpValue.typed("float", 1.5),
        when: DateTime.makeUnsafe("2020-07-05T11:12:13.014Z"),
        span: Duration.millis(1500),
        id: AmqpValue.uuid("0f8fad5b-d9cb-469f-a165-70867728950e"),
        uri: new URL("http://a.b/c"),
        bytes: new Uint8Array([1, 2, 3]),
        char: AmqpValue.typed("char", "é"),
        nothing: null,
        ["__proto__"]: "harmless"
      }
      const filters: ReadonlyArray<ServiceBusRule.Filter> = [
        ServiceBusRule.true,
        ServiceBusRule.false,
        ServiceBusRule.sql("a = @b AND c < 5"),
        ServiceBusRule.sql("a = @text", values),
        ServiceBusRule.correlation({
          correlationId: "1",
          messageId: "2",
          to: "3",
          replyTo: "4",
          subject: "5",
          sessionId: "6",
          replyToSessionId: "7",
          contentType: "8",
          applicationProperties: values
        }),
        ServiceBusRule.correlation({ subject: "only" })
      ]
      for (const Filter of filters) {
        for (const Action of [undefined, ServiceBusRule.action("SET a = @a", { a: 1 })]) {
          const given: Description.Rule = { Name: "r", Filter, ...(Action === undefined ? {} : { Action }) }
          for (const as of ["answer", "request"] as const) {
            const root = yield* parse(print(Description.write(Description.rule, given, as)))
            assert.deepStrictEqual(Result.getOrThrow(Description.read(Description.rule, root)), given)
          }
        }
      }
      // As the first rule of a subscription.
      const written = Description.write(Description.subscription, {
        DefaultRuleDescription: { Name: "r", Filter: filters[3]! }
      }, "request")
      const subscription = Result.getOrThrow(
        Description.read(Description.subscription, yield* parse(print(written)))
      )
      assert.deepStrictEqual(subscription.DefaultRuleDescription, { Name: "r", Filter: filters[3]! })
    }))

  it.effect("what is written of any values is read as them", () =>
    Effect.gen(function*() {
      for (let seed = 1; seed <= 200; seed++) {
        const next = generator(seed)
        const some = <A>(value: () => A): A | undefined => next(2) === 0 ? undefined : value()
        const flag = () => some(() => next(2) === 0)
        const span = () =>
          some(() => next(5) === 0 ? Duration.infinity : Duration.millis(next(2 ** 30) * (next(1000) + 1)))
        const number = () => some(() => next(2 ** 30))
        const text = () => some(() => ["", "a", " é🙂 <&>", "sb://host/a/b", "\r\n\t"][next(5)]!)
        const time = () => some(() => DateTime.makeUnsafe(next(2 ** 30) * 1000 + next(1000)))
        const given: Record<string, unknown> = {
          LockDuration: span(),
          MaxSizeInMegabytes: number(),
          RequiresSession: flag(),
          DefaultMessageTimeToLive: span(),
          MaxDeliveryCount: number(),
          Status: text(),
          CreatedAt: time(),
          CountDetails: some(() => ({
            ActiveMessageCount: next(100),
            DeadLetterMessageCount: next(100),
            ScheduledMessageCount: next(100),
            TransferMessageCount: next(100),
            TransferDeadLetterMessageCount: next(100)
          })),
          AuthorizationRules: some(() =>
            Array.from({ length: next(3) }, (_, index) => ({
              KeyName: `k${index}`,
              Rights: ["Send", "Listen"].slice(next(3)),
              ...(next(2) === 0 ? {} : { PrimaryKey: Redacted.make("a2V5", { label: "access key" }) })
            }))
          ),
          UserMetadata: text(),
          ForwardTo: text()
        }
        const values = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
        const root = yield* parse(print(Description.write(Description.queue, values, "answer")))
        const read = Result.getOrThrow(Description.read(Description.queue, root))
        assert.deepStrictEqual(read, values, `seed ${seed}`)
      }
    }))

  // The recordings are no part of this repository.
  it.effect.runIf(Recordings.arePresent)(
    "recorded answers are written again as the service wrote them",
    () =>
      Effect.gen(function*() {
        let compared = 0
        for (const exchange of Recordings.recordings().flatMap(([, exchanges]) => exchanges)) {
          if (exchange.body === "") continue
          for (const description of descriptionsOf(yield* parse(exchange.body))) {
            compared++
            const { unknown, written } = again(description, "answer")
            assert.deepStrictEqual(saying(yield* parse(print(written))), saying(description), exchange.name)
            assert.lengthOf(unknown, 0)
          }
        }
        assert.isAbove(compared, 200)
      })
  )

  it.effect.runIf(Recordings.arePresent)(
    "requests of the .NET client are in the order that requests have here",
    () =>
      Effect.gen(function*() {
        let compared = 0
        // Those of API 2024-05 come back from that client because it does not know them.
        const names = (description: AtomXml.Element) =>
          AtomXml.elementsOf(description).map(({ name }) => name).filter((name) =>
            !/FilterCount$|^IsClientAffine$/.test(name)
          )
        for (const request of Recordings.dotnetRequests()) {
          if (request.body === "" || request.body === null) continue
          for (const description of descriptionsOf(yield* parse(request.body))) {
            compared++
            assert.deepStrictEqual(names(again(description, "request").written), names(description), request.call)
          }
        }
        assert.isAbove(compared, 70)
      })
  )
})
