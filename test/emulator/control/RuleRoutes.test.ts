/** Rules over HTTP: listed, added, removed, and tried on what the topic has taken. */
import { Effect } from "effect"
import * as Emulator from "effect-service-bus/emulator"
import { ask } from "../../support/controlApi.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const broker = Emulator.layer({
  entities: [
    Emulator.entity("orders"),
    { kind: "topic", name: "news" },
    { kind: "subscription", topic: "news", name: "sport" },
    { kind: "subscription", topic: "news", name: "none", options: { rules: [] } }
  ]
})

const sport = "news/Subscriptions/sport"
const none = "news/Subscriptions/none"

const rule = (sql: string, more: object = {}) => ({ name: "tried", filter: { sql }, ...more })

const attempt = (entity: string, given: object, max = 100) =>
  Effect.map(ask("POST", `/rules/try?entity=${entity}&max=${max}`, given), ({ json }) => json)

const previews = ({ matched }: any): ReadonlyArray<string> => matched.map(({ message }: any) => message.preview)

const rounds = ask("POST", "/messages?entity=news", [
  { body: "one", applicationProperties: { round: 1 } },
  { body: "two", applicationProperties: { round: 2 }, subject: "s" },
  { body: "three", applicationProperties: { round: "x" } },
  { body: "four", applicationProperties: { round: 4 } }
])

describe("rules", () => {
  it.effect("are listed, added and removed, and refused with what is wrong", () =>
    Effect.gen(function*() {
      const finals = {
        name: "finals",
        filter: { sql: "round = @r", parameters: { "@r": 2 } },
        action: { sql: "SET a = 1" }
      }
      assert.strictEqual((yield* ask("POST", `/rules?entity=${sport}`, finals)).status, 204)
      assert.deepStrictEqual((yield* ask("GET", `/rules?entity=${sport}`)).json, [
        { name: "$Default", filter: "true" },
        finals
      ])
      const again = yield* ask("POST", `/rules?entity=${sport}`, finals)
      assert.deepInclude(again, { status: 409 })
      assert.match(again.json.message, /it has a rule of this name/)
      const broken = yield* ask("POST", `/rules?entity=${sport}`, rule("round ="))
      assert.strictEqual(broken.status, 400)
      assert.match(broken.json.message, /parsing the SQL expression/)
      assert.strictEqual((yield* ask("DELETE", `/rules?entity=${sport}&name=finals`)).status, 204)
      assert.strictEqual((yield* ask("DELETE", `/rules?entity=${sport}&name=finals`)).status, 404)
      assert.match((yield* ask("GET", "/rules?entity=orders")).json.message, /has no rules/)
    }).pipe(Effect.provide(broker)))

  it.effect("are tried on what other subscriptions have got, each message once, and change nothing", () =>
    Effect.gen(function*() {
      yield* rounds
      yield* ask("POST", `/messages/dead-letter?entity=${sport}`, { sequenceNumbers: ["1"] })
      const all = yield* attempt(none, { name: "all", filter: "true" })
      assert.strictEqual(all.tried, 4)
      assert.deepStrictEqual(previews(all), ["four", "three", "two", "one"])
      assert.strictEqual(all.matched[3].entity, `${sport}/$DeadLetterQueue`)
      assert.deepStrictEqual(previews(yield* attempt(none, rule("round IN (2, 4)"))), ["four", "two"])
      assert.deepStrictEqual(previews(yield* attempt(none, { name: "c", filter: { correlation: { subject: "s" } } })), [
        "two"
      ])
      assert.deepStrictEqual(previews(yield* attempt("news", rule("round = 1"))), ["one"])
      const last = yield* attempt(none, { name: "all", filter: "true" }, 2)
      assert.deepStrictEqual([last.tried, previews(last)], [2, ["four", "three"]])
      assert.deepStrictEqual((yield* ask("GET", `/rules?entity=${none}`)).json, [])
    }).pipe(Effect.provide(broker)))

  it.effect("say what their actions would do, and on which messages they fail", () =>
    Effect.gen(function*() {
      yield* rounds
      const changed = yield* attempt(none, rule("round = 2", { action: { sql: "SET priority = 1; REMOVE round" } }))
      assert.deepInclude(changed.matched[0].changes, { priority: { $long: "1" }, round: null, RuleName: "tried" })
      const failing = yield* attempt(none, rule("10 / (round - 2) >= 5"))
      assert.deepStrictEqual(previews(failing), ["four"])
      assert.deepStrictEqual(failing.failed.map(({ message, problem }: any) => [message.preview, problem]), [
        ["three", "Operator '-' cannot be applied to operands of type 'string' and 'long'"],
        ["two", "Attempted to divide by zero."]
      ])
    }).pipe(Effect.provide(broker)))

  it.effect("that do not parse say where", () =>
    Effect.gen(function*() {
      const { matched, problem } = yield* attempt(sport, rule("round = 1\nAND round ="))
      assert.deepStrictEqual(matched, [])
      assert.deepInclude(problem, { part: "filter", line: 2 })
      assert.match(problem.message, /parsing the SQL expression/)
      assert.strictEqual((yield* attempt(sport, rule("1 = 1", { action: { sql: "SET" } }))).problem.part, "action")
    }).pipe(Effect.provide(broker)))
})
