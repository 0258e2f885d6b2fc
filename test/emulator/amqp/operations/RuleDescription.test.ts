/** Rules over `$management`, as a bare AMQP peer and Microsoft's JavaScript client ask for them and are told of them. */
import type { RuleProperties, ServiceBusError } from "@azure/service-bus"
import { DateTime, Duration, Effect, Redacted, type Scope } from "effect"
import { AmqpValue, ServiceBusBody, ServiceBusClient, ServiceBusEntity, ServiceBusRule } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as RuleDescription from "../../../../src/emulator/amqp/operations/RuleDescription.ts"
import { fieldOf } from "../../../../src/internal/amqp/codec/DecodedValue.ts"
import { Reader } from "../../../../src/internal/amqp/codec/Reader.ts"
import { Writer } from "../../../../src/internal/amqp/codec/Writer.ts"
import * as Namespace from "../../../../src/internal/namespace/Namespace.ts"
import * as SasToken from "../../../../src/internal/SasToken.ts"
import { official, testsOn } from "../../../support/official.ts"
import { generator } from "../../../support/random.ts"
import { peer, types } from "../../../support/rheaPeer.ts"
import { assert, describe, it } from "../../../support/vitest.ts"

const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Sport = ServiceBusEntity.subscription(News, "Sport")
const All = ServiceBusEntity.subscription(News, "all")
const path = "news/Subscriptions/Sport"

const Broker = Emulator.layerServer({
  entities: [Emulator.entity(News), Emulator.entity(Sport), Emulator.entity("orders")],
  policies: [
    { name: "listener", key: Redacted.make("a2V5"), rights: ["Listen"] },
    { name: "sender", key: Redacted.make("a2V5"), rights: ["Send"] }
  ]
})

const test = <E>(title: string, effect: Effect.Effect<void, E, Emulator.Emulator | Scope.Scope>) =>
  it.live(title, () => effect.pipe(Effect.scoped, Effect.provide(Broker)))

/** What is plain of a value as rhea has it: a described one by its code, and its fields. */
const plain = (value: any): any =>
  Array.isArray(value)
    ? value.map(plain)
    : value?.descriptor === undefined
    ? value?.value === undefined ? value : plain(value.value)
    : [Number(value.descriptor.value), ...(value.value ?? []).map(plain)]

const asked = Effect.gen(function*() {
  const { claim, manages } = yield* peer
  yield* claim(path)
  return yield* manages(path)
})

const all = { top: types.wrap_int(0x7fffffff), skip: types.wrap_int(0) }
const sql = (expression: unknown) => ({ "sql-filter": { expression } })

/** The body of an answer of the service, of three rules (azure-sdk-for-java, MessageUtilsTest). */
const answered = `
  d10000013000000002a10572756c6573d00000012000000003c14902a11072756c652d6465736372697074696f6e00800000
  013700000004c02a0400800000001370000007450080000001370000000545a1082444656661756c74830000018290beb077
  c17502a11072756c652d6465736372697074696f6e00800000013700000004c0560400800000001370000009c01d09404040
  a103666f6f40404040c10e02a103626172a10672616e646f6d0080000001370000000545a1166e65772d636f7272656c6174
  696f6e2d66696c74657283000001829116359dc15802a11072756c652d6465736372697074696f6e00800000013700000004
  c0390400800000001370000006c00802a103313d3154140080000001370000000545a10e6e65772d73716c2d66696c746572
  830000018291171d31
`.replace(/\s/g, "")

describe("RuleDescription", () => {
  it("is written as the service has written three rules", () => {
    const createdAt = (at: number) => ({ createdAt: DateTime.makeUnsafe(at) })
    const filter = ServiceBusRule.correlation({ replyTo: "foo", applicationProperties: { bar: "random" } })
    const rules = [
      { ...ServiceBusRule.make("$Default", ServiceBusRule.true), ...createdAt(0x182_90be_b077) },
      { ...ServiceBusRule.make("new-correlation-filter", filter), ...createdAt(0x182_9116_359d) },
      { ...ServiceBusRule.make("new-sql-filter", ServiceBusRule.sql("1=1")), ...createdAt(0x182_9117_1d31) }
    ]
    const writer = new Writer()
    writer.value({ rules: rules.map(RuleDescription.write) })
    const exact = (bytes: Buffer) => new Reader(bytes, 0, bytes.length, true).value()
    assert.deepStrictEqual(exact(writer.take()), exact(Buffer.from(answered, "hex")))
  })

  test(
    "is written with the service's codes, types and order of fields",
    Effect.gen(function*() {
      const ask = yield* asked
      const correlation = {
        "correlation-filter": {
          "correlation-id": "c",
          "message-id": "m",
          to: "t",
          "reply-to": "r",
          label: "l",
          "session-id": "s",
          "reply-to-session-id": "rs",
          "content-type": "ct",
          properties: { n: types.wrap_long(7), text: "x" }
        },
        "sql-rule-action": { expression: "SET a = 1" }
      }
      for (
        const [name, description] of [["sql", sql("a > 1")], ["correlation", correlation], ["true", {
          "true-filter": {}
        }], [
          "false",
          { "false-filter": {} }
        ]] as const
      ) {
        const { description: text, status } = yield* ask("add-rule", {
          "rule-name": name,
          "rule-description": description
        })
        assert.strictEqual(status, 200, text)
      }
      const { body, status } = yield* ask("enumerate-rules", all)
      assert.strictEqual(status, 200)
      const rules = body.rules.map((each: any) => each["rule-description"])
      // As the constants of Microsoft's clients are: the first with 16 digits, the filters with 15.
      const isRule = ([code, , , , created]: ReadonlyArray<any>) => code === 1335734829060 && created instanceof Date
      assert(rules.map(plain).every(isRule))
      assert.deepStrictEqual(
        rules.map(plain).map(([, filter, action, name]: ReadonlyArray<any>) => [name, filter, action]),
        [
          ["$Default", [83483426823], [1335734829061]],
          [
            "correlation",
            [83483426825, "c", "m", "t", "r", "l", "s", "rs", "ct", ["n", 7, "text", "x"]],
            [1335734829062, "SET a = 1", 20]
          ],
          ["false", [83483426824], [1335734829061]],
          ["sql", [83483426822, "a > 1", 20], [1335734829061]],
          ["true", [83483426823], [1335734829061]]
        ]
      )
    })
  )

  test(
    "is given by pages, and 204 where there is none",
    Effect.gen(function*() {
      const ask = yield* asked
      const names = (skip: number, top: number) =>
        Effect.map(
          ask("enumerate-rules", { skip: types.wrap_int(skip), top: types.wrap_int(top) }),
          ({ body, status }) => [
            status,
            ...(body?.rules ?? []).map((each: any) => plain(each["rule-description"])[3])
          ]
        )
      for (const name of ["a", "b", "c"]) {
        yield* ask("add-rule", { "rule-name": name, "rule-description": sql("1=1") })
      }
      assert.deepStrictEqual(yield* names(0, 2), [200, "$Default", "a"])
      assert.deepStrictEqual(yield* names(2, 2), [200, "b", "c"])
      assert.deepStrictEqual(yield* names(4, 2), [204])
      assert.deepStrictEqual(yield* names(0, 0), [204])
      for (const name of ["$Default", "a", "b", "c"]) {
        assert.strictEqual((yield* ask("remove-rule", { "rule-name": name })).status, 200)
      }
      assert.deepStrictEqual(yield* names(0, 10), [204])
      const { condition, description } = yield* ask("enumerate-rules", all)
      assert.deepStrictEqual([condition, description], ["com.microsoft:rules-not-found", "No rules found"])
    })
  )

  test(
    "that there is already, that there is not, and that is wrong, is refused in the service's words",
    Effect.gen(function*() {
      const ask = yield* asked
      const add = (name: unknown, description: unknown) =>
        ask("add-rule", { "rule-name": name, "rule-description": description })
      const twice = yield* add("$Default", sql("1=1"))
      assert.deepInclude(twice, { status: 409, condition: "com.microsoft:entity-already-exists" })
      assert.match(
        twice.description,
        /^The messaging entity '\w+:Topic:news\|sport\|\$Default' already exists\. To know more visit .*TrackingId:/
      )
      const missing = yield* ask("remove-rule", { "rule-name": "Priority_5" })
      assert.deepInclude(missing, { status: 404, condition: "amqp:not-found" })
      assert.match(
        missing.description,
        /^The messaging entity '\w+:Topic:news\|sport\|Priority_5' could not be found\./
      )
      const wrong = yield* add("wrong", sql("a = = b"))
      assert.deepInclude(wrong, { status: 400, condition: "com.microsoft:argument-error" })
      assert.match(wrong.description, /Token line=1, column=4/)
      const action = yield* add("wrong", { ...sql("1=1"), "sql-rule-action": { expression: "SETT a = 1" } })
      assert.deepInclude(action, { status: 400, condition: "com.microsoft:argument-error" })
      assert.match((yield* add("", sql("1=1"))).description, /^The specified name \(""\) is not valid\./)
      for (
        const [name, description] of [
          ["x".repeat(51), sql("1=1")],
          ["x", {}],
          ["x", null],
          ["x", "1=1"],
          ["x", sql(types.wrap_int(1))],
          ["x", { "correlation-filter": { to: types.wrap_int(1) } }],
          ["x", { "correlation-filter": { properties: new Map([[1, "x"]]) } }],
          [types.wrap_int(1), sql("1=1")]
        ]
      ) {
        const answer = yield* add(name, description)
        assert.deepInclude(
          answer,
          { status: 400, condition: "com.microsoft:argument-error" },
          JSON.stringify(description)
        )
      }
      for (const body of [{}, { top: types.wrap_int(1) }, { top: types.wrap_int(-1), skip: types.wrap_int(0) }]) {
        assert.strictEqual((yield* ask("enumerate-rules", body)).status, 400)
      }
      assert.strictEqual((yield* ask("remove-rule", {})).status, 400)
      const { body } = yield* ask("enumerate-rules", all)
      assert.lengthOf(body.rules, 1)
    })
  )

  for (const [keyName, status] of [["listener", 200], ["sender", 401]] as const) {
    test(
      `is answered with ${status} to the key of a ${keyName}`,
      Effect.gen(function*() {
        const { claim, manages } = yield* peer
        const token = SasToken.sign({
          resource: `sb://127.0.0.1/${path}`,
          keyName,
          key: Redacted.make("a2V5"),
          expiresAt: Date.now() / 1000 + 600
        })
        assert.strictEqual((yield* claim(path, Redacted.value(token))).status, 202)
        const ask = yield* manages(path)
        for (
          const [operation, body] of [
            ["add-rule", { "rule-name": "x", "rule-description": sql("1=1") }],
            ["enumerate-rules", all],
            ["remove-rule", { "rule-name": "x" }]
          ] as const
        ) {
          const answer = yield* ask(operation, body)
          assert.strictEqual(answer.status, status, operation)
          if (status === 401) assert.include(answer.description, "'Listen' claim(s) are required")
        }
      })
    )
  }

  test(
    "is refused where the entity is no subscription",
    Effect.gen(function*() {
      const { claim, manages } = yield* peer
      for (const other of ["orders", "news", `${path}/$DeadLetterQueue`]) {
        yield* claim(other)
        const answer = yield* (yield* manages(other))("enumerate-rules", all)
        assert.deepInclude(answer, { status: 400, condition: "amqp:not-allowed" }, other)
      }
    })
  )

  testsOn(Emulator.entity(News), Emulator.entity(Sport))(
    "is what Microsoft's rule manager for JavaScript writes and reads",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const client = yield* official()
      const manager = client.createRuleManager("news", "Sport")
      const rules = () =>
        Effect.promise(async () => {
          const all: Array<RuleProperties> = []
          // An empty page comes as an item of nothing.
          for await (const rule of manager.listRules()) if (rule !== undefined) all.push(rule)
          return all
        })
      assert.deepStrictEqual(yield* rules(), [{ name: "$Default", filter: { sqlExpression: "1=1" }, action: {} }])
      yield* Effect.promise(() => manager.deleteRule("$Default"))
      assert.deepStrictEqual(yield* rules(), [])
      yield* Effect.promise(() =>
        manager.createRule("sql", { sqlExpression: "a = 'x'" }, { sqlExpression: "SET b = 1" })
      )
      const when = new Date("2026-01-02T03:04:05Z")
      const conditions = { subject: "l", correlationId: "c", applicationProperties: { s: "x", n: 2.5, b: true, when } }
      yield* Effect.promise(() => manager.createRule("correlation", conditions))
      const [first, second] = yield* rules()
      assert.deepStrictEqual(second, {
        name: "sql",
        filter: { sqlExpression: "a = 'x'" },
        action: { sqlExpression: "SET b = 1" }
      })
      assert.deepInclude(first!.filter, {
        ...conditions,
        applicationProperties: { ...conditions.applicationProperties }
      })
      const failure = (promise: () => Promise<unknown>) =>
        Effect.flip(Effect.tryPromise({ try: promise, catch: (e) => e }))
      const twice = yield* failure(() => manager.createRule("sql", { sqlExpression: "1=1" }))
      assert.strictEqual((twice as ServiceBusError).code, "MessagingEntityAlreadyExists")
      const missing = yield* failure(() => manager.deleteRule("Priority_5"))
      assert.strictEqual((missing as ServiceBusError).code, "MessagingEntityNotFound")
      assert.include((missing as ServiceBusError).message, "Priority_5' could not be found")
      const [kept] = yield* emulator.rules(Sport)
      assert.deepInclude(kept!.filter, { subject: "l", correlationId: "c" })
    })
  )

  testsOn(Emulator.entity(News), Emulator.entity(Sport))(
    "keeps the AMQP types of the properties of a correlation filter",
    Effect.gen(function*() {
      const { claim, manages } = yield* peer
      yield* claim(path)
      const ask = yield* manages(path)
      const properties = {
        byte: types.wrap_ubyte(200),
        float: types.wrap_float(1.5),
        long: types.wrap_long(7),
        id: types.wrap_uuid(Buffer.alloc(16)),
        symbol: types.wrap_symbol("x")
      }
      const added = yield* ask("add-rule", {
        "rule-name": "x",
        "rule-description": { "correlation-filter": { properties } }
      })
      assert.strictEqual(added.status, 200, added.description)
      const { rules } = yield* Emulator.Emulator
      const filter = (yield* rules(Sport))[1]!.filter
      assert(filter._tag === "CorrelationFilter")
      assert.deepStrictEqual(filter.applicationProperties, {
        byte: AmqpValue.typed("ubyte", 200),
        float: AmqpValue.typed("float", 1.5),
        long: 7n,
        id: AmqpValue.uuid("00000000-0000-0000-0000-000000000000"),
        symbol: AmqpValue.symbol("x")
      })
    })
  )

  it.effect(
    "is answered, whatever is asked for, and what was taken is told and does its work",
    () =>
      Effect.gen(function*() {
        const next = generator(14)
        // Its lower bits repeat soon.
        const random = (n: number) => Math.floor(next(1_000_003) / 1_000_003 * n)
        const pick = <A>(items: ReadonlyArray<A>): A => items[random(items.length)]!
        const nested = (depth: number): AmqpValue.AmqpValue => depth === 0 ? 1 : [nested(depth - 1)]
        const values: ReadonlyArray<AmqpValue.AmqpValue> = [
          null,
          true,
          -7,
          2n ** 63n,
          NaN,
          "text",
          "",
          "x".repeat(2000),
          "\u0000",
          "a > 1",
          "a = = 1",
          Uint8Array.of(1, 255),
          new Date(1e12),
          Duration.seconds(90),
          new URL("https://example.com/x"),
          AmqpValue.uuid("01234567-89ab-cdef-0123-456789abcdef"),
          AmqpValue.symbol("symbol"),
          AmqpValue.typed("char", "ä"),
          AmqpValue.typed("decimal128", new Uint8Array(16)),
          AmqpValue.typed("timestamp", 2n ** 62n),
          AmqpValue.array("int", [1, 2]),
          AmqpValue.described(7n, ["x"]),
          [1, "two", [3]],
          nested(25),
          new Map<AmqpValue.AmqpValue, AmqpValue.AmqpValue>([[1, "x"]]),
          {}
        ]
        const fields = ["correlation-id", "label", "to", "properties", "expression"]
        const record = (names: ReadonlyArray<string>, value: () => AmqpValue.AmqpValue) =>
          Object.fromEntries(names.filter(() => random(2) === 0).map((name) => [name, value()]))
        const properties = () => record(["a", "b", "", "__proto__", "constructor"], () => pick(values))
        const filter = () =>
          random(6) === 0 ? pick(values) : record(fields, () => random(2) === 0 ? properties() : pick(values))
        const parts = ["sql-filter", "correlation-filter", "sql-rule-action", "true-filter"]
        const good = () => ({ "correlation-filter": { properties: { a: pick(values), b: pick(values) } } })
        const description = () => pick([good, good, () => record(parts, filter), () => pick(values)])()
        const client = yield* ServiceBusClient.ServiceBusClient
        const { request } = yield* Namespace.of(client).managementNode(path)
        const emulator = yield* Emulator.Emulator
        const statuses = new Map<number, number>()
        const ask = (operation: string, body: AmqpValue.AmqpValue) =>
          Effect.map(request({ operation: `com.microsoft:${operation}` }, body, operation), (response) => {
            statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1)
            return response
          })
        for (let i = 0; i < 600; i++) {
          const name = random(9) === 0 ? pick(values) : `r${random(300)}`
          if (random(4) === 0) yield* ask("remove-rule", { "rule-name": name })
          else yield* ask("add-rule", { "rule-name": name, "rule-description": description() })
          if (i % 20 > 0) continue
          const kept = yield* emulator.rules(Sport)
          const told = yield* ask("enumerate-rules", { skip: 0, top: 1000 })
          assert.lengthOf(fieldOf(told.body, "rules") as ReadonlyArray<unknown> ?? [], kept.length)
          yield* emulator.send(News, [{ body: "x", applicationProperties: { a: pick(values.slice(0, 19)) } }])
        }
        for (const status of [200, 400, 404, 409]) assert.isAbove(statuses.get(status) ?? 0, 10, `${status}`)
        // The bystander got every message.
        assert.lengthOf(yield* emulator.messages(All), 30)
      }).pipe(
        Effect.scoped,
        Effect.provide(
          Emulator.layer({ entities: [Emulator.entity(News), Emulator.entity(Sport), Emulator.entity(All)] })
        )
      ),
    60_000
  )
})
