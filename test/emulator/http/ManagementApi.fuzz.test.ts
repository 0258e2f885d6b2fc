/**
 * Requests that nobody sends on purpose: targets, headers and bodies that are cut, mixed and doubled. Each is answered, none as
 * a failure of the broker, and what is refused has changed nothing.
 */
import { Effect } from "effect"
import * as AtomXml from "../../../src/internal/administration/AtomXml.ts"
import { managementApi } from "../../support/managementApi.ts"
import { generator } from "../../support/random.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const description = (name: string, elements: string) =>
  `<entry xmlns="${AtomXml.atom}"><content type="application/xml"><${name} xmlns="${AtomXml.connect}" xmlns:i="${AtomXml.instance}">${elements}</${name}></content></entry>`

const elements = [
  "<LockDuration>PT30S</LockDuration>",
  "<MaxSizeInMegabytes>99999999999999999999</MaxSizeInMegabytes>",
  "<RequiresSession>maybe</RequiresSession>",
  "<DefaultMessageTimeToLive>-P1D</DefaultMessageTimeToLive>",
  "<DefaultMessageTimeToLive>P99999999999D</DefaultMessageTimeToLive>",
  "<AutoDeleteOnIdle>P1Y2M3DT4H5M6.7S</AutoDeleteOnIdle>",
  "<RequiresDuplicateDetection>true</RequiresDuplicateDetection>",
  "<DuplicateDetectionHistoryTimeWindow>PT7M</DuplicateDetectionHistoryTimeWindow>",
  "<MaxDeliveryCount>0</MaxDeliveryCount>",
  "<Status>Disabled</Status>",
  "<ForwardTo>sb://</ForwardTo>",
  "<ForwardTo>http://localhost/%E0%A4%A</ForwardTo>",
  "<ForwardDeadLetteredMessagesTo>/a/</ForwardDeadLetteredMessagesTo>",
  "<UserMetadata>&#x1F600; &amp; <![CDATA[<b>]]></UserMetadata>",
  "<AuthorizationRules><AuthorizationRule><Rights/><KeyName/></AuthorizationRule></AuthorizationRules>",
  "<AuthorizationRules><Other/></AuthorizationRules>",
  "<CountDetails><ActiveMessageCount>many</ActiveMessageCount></CountDetails>",
  `<Filter i:type="SqlFilter"><SqlExpression>a = @b</SqlExpression><Parameters><KeyValueOfstringanyType/></Parameters></Filter>`,
  `<Filter i:type="CorrelationFilter"><Properties><KeyValueOfstringanyType><Key>__proto__</Key><Value i:nil="true"/></KeyValueOfstringanyType></Properties></Filter>`,
  `<Filter i:type="NewFilter"/>`,
  `<Filter/>`,
  `<Action i:type="SqlRuleAction"><SqlExpression>SET</SqlExpression></Action>`,
  "<Name>other</Name>",
  "<Name/>",
  `<DefaultRuleDescription><Filter i:type="FalseFilter"/><Name></Name></DefaultRuleDescription>`,
  `<LockDuration i:nil="true"/>`,
  "<toString>1</toString>",
  "text"
]

const kinds = ["QueueDescription", "TopicDescription", "SubscriptionDescription", "RuleDescription", "toString"]

const segments = [
  "a",
  "B",
  "a.b",
  "$Resources",
  "queues",
  "Subscriptions",
  "Rules",
  "$Default",
  "%2F",
  "%",
  "..",
  "",
  "é",
  "x".repeat(300)
]

const queries = [
  "",
  "?api-version=2021-05",
  "?$skip=1&$top=1",
  "?%24top=0",
  "?$skip=1e3",
  "?api-version=2024-05&enrich=True",
  "?&=&%"
]

describe("requests that are broken", () => {
  it.effect("are answered, and change nothing where they are refused", () =>
    Effect.gen(function*() {
      const ask = yield* managementApi("localhost", [
        { name: "a" },
        { kind: "topic", name: "b" },
        { kind: "subscription", topic: "b", name: "a" }
      ])
      const state = () =>
        JSON.stringify([
          ask.broker.declarations(),
          ask.broker.queues().map(({ rules }) => rules?.list() ?? [])
        ])
      const below = generator(2026)
      const pick = <A>(all: ReadonlyArray<A>): A => all[below(all.length)]!
      const some = <A>(all: ReadonlyArray<A>, most: number) => Array.from({ length: below(most + 1) }, () => pick(all))
      const counts = new Map<number, number>()
      for (let round = 0; round < 1000; round++) {
        const method = pick(["GET", "PUT", "PUT", "PUT", "DELETE", "HEAD", "POST", "M"])
        const target = `/${some(segments, 5).join("/")}${pick(queries)}`
        let body = description(pick(kinds), some(elements, 4).join(""))
        if (below(4) === 0) body = body.slice(0, below(body.length + 1))
        if (below(10) === 0) {
          body = body.replace("<entry", pick(["<!DOCTYPE a><entry", "<feed", "<a:entry", "<entry xmlns:x=\"\""]))
        }
        const headers = below(4) === 0 ? { "if-match": pick(["*", "\"1\"", "W/\"\"", ""]) } : {}
        const before = state()
        const { body: answer, status } = yield* ask(method, target, body, headers)
        const what = `${method} ${target} ${body}`
        assert.include([200, 201, 400, 403, 404, 409, 412], status, what)
        counts.set(status, (counts.get(status) ?? 0) + 1)
        if (answer !== "") {
          yield* Effect.mapError(AtomXml.parse(answer), (error) => new Error(`${what}: ${answer}`, { cause: error }))
        }
        if (status >= 400 || method !== "PUT" && method !== "DELETE") {
          assert.strictEqual(state(), before, what)
        }
      }
      // The mixture meets what there is.
      for (const status of [200, 201, 400, 404, 409, 412]) assert.isAbove(counts.get(status) ?? 0, 0, String(status))
    }).pipe(Effect.scoped))
})
