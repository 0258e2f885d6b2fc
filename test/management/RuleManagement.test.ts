/** Requests for rules as the service and the official clients have them, and answers of every form. */
import { AmqpValue, ServiceBusRule } from "effect-service-bus"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { RequestResponseLink, Response } from "../../src/internal/management/RequestResponseLink.ts"
import * as RuleManagement from "../../src/internal/management/RuleManagement.ts"
import { failsWith } from "../support/harness.ts"
import { assert, describe, it } from "../support/vitest.ts"

const { action, correlation, make, sql } = ServiceBusRule

const entity = "news/Subscriptions/sport"
const timeout = 1000

/** A node that gives an answer, and what it was asked. */
const answering = (response: Partial<Response>) => {
  const asked: Array<readonly [AmqpValue.AmqpValue, AmqpValue.AmqpValue]> = []
  const node: RequestResponseLink = {
    isLost: () => false,
    request: (properties, request) => {
      asked.push([properties["operation"], request])
      const { body = null } = response
      return Effect.succeed({
        status: 200,
        condition: undefined,
        description: undefined,
        ...response,
        body,
        exactBody: () => body
      })
    }
  }
  return { node, asked }
}

const described = (rule: ServiceBusRule.Rule) => {
  const result = RuleManagement.describe(entity, rule)
  if (Result.isFailure(result)) throw result.failure
  return result.success
}

/** Creates a rule at a node with an answer, and gives what the node was asked for. */
const created = (rule: ServiceBusRule.Rule, response: Partial<Response> = {}) => {
  const { asked, node } = answering(response)
  return Effect.as(RuleManagement.add(node, { entity, rule: described(rule), timeout }), asked)
}

const listed = (body: AmqpValue.AmqpValue, status = 200) =>
  RuleManagement.enumerate(answering({ status, body }).node, { entity, skip: 0, top: 100, timeout })

describe("a rule that is created", () => {
  const cases: ReadonlyArray<readonly [string, ServiceBusRule.Rule, object]> = [
    ["of SQL", make("r", sql("a = 1")), { "sql-filter": { expression: "a = 1" }, "sql-rule-action": null }],
    [
      "of SQL with parameters, and an action with some",
      make("r", sql("a = @a", { a: "x" }), action("SET b = @b", { b: 2 })),
      { "sql-filter": { expression: "a = 'x'" }, "sql-rule-action": { expression: "SET b = 2" } }
    ],
    ["that takes all", make("r", ServiceBusRule.true), {
      "sql-filter": { expression: "1=1" },
      "sql-rule-action": null
    }],
    ["that takes nothing", make("r", ServiceBusRule.false), {
      "sql-filter": { expression: "1=0" },
      "sql-rule-action": null
    }],
    [
      "of conditions",
      make(
        "r",
        correlation({
          correlationId: "a",
          messageId: "b",
          to: "c",
          replyTo: "d",
          subject: "e",
          sessionId: "f",
          replyToSessionId: "g",
          contentType: "h",
          applicationProperties: { z: 1n, i: AmqpValue.typed("uint", 1), none: undefined }
        })
      ),
      {
        "correlation-filter": {
          "correlation-id": "a",
          "message-id": "b",
          to: "c",
          "reply-to": "d",
          label: "e",
          "session-id": "f",
          "reply-to-session-id": "g",
          "content-type": "h",
          properties: new Map<string, AmqpValue.AmqpValue>([["i", AmqpValue.typed("uint", 1)], ["z", 1n]])
        },
        "sql-rule-action": null
      }
    ]
  ]
  for (const [what, rule, description] of cases) {
    it.effect(what, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* created(rule), [[
          "com.microsoft:add-rule",
          { "rule-name": "r", "rule-description": { ...description, "rule-name": "r" } }
        ]])
      }))
  }

  it("that is not usable is refused by the name of the part", () => {
    const optionOf = (rule: unknown) => {
      const result = RuleManagement.describe(entity, rule as ServiceBusRule.Rule)
      return Result.isFailure(result) ? result.failure.option : undefined
    }
    let reads = 0
    const once = {
      name: "r",
      get filter() {
        if (reads++ > 0) throw new Error("no")
        return ServiceBusRule.true
      }
    }
    assert.deepStrictEqual(
      [
        make("", ServiceBusRule.true),
        make("r", sql("a = @b")),
        make("r", sql("a = @b", { b: new Date(0) })),
        make("r", ServiceBusRule.true, action("SET a = @b", {})),
        make("r", sql(`a = @b${" ".repeat(1000)}`, { b: "x".repeat(100) })),
        make("r", correlation({ applicationProperties: { a: [1] } })),
        make("r", correlation({ applicationProperties: { a: AmqpValue.typed("int", 1.5) } })),
        make("r", correlation({ applicationProperties: { "\ud800": 1 } })),
        once
      ].map(optionOf),
      [
        "name",
        "filter.parameters.@b",
        "filter.parameters.@b",
        "action.parameters.@b",
        "filter.expression",
        "filter.applicationProperties \"a\"",
        "filter.applicationProperties \"a\"",
        "filter.applicationProperties \"\ufffd\"",
        "rule"
      ]
    )
  })

  const rule = make("urgent", sql("a = "))
  const failing = (status: number, condition: string | undefined, description?: string) =>
    created(rule, { status, condition, description })

  it.effect("that exists already is told by its path", () =>
    Effect.gen(function*() {
      for (const condition of ["com.microsoft:entity-already-exists", undefined]) {
        const error = yield* failsWith("MessagingEntityAlreadyExistsError")(failing(409, condition))
        assert.strictEqual(error.entity, `${entity}/Rules/urgent`)
      }
    }))

  it.effect("that the service does not understand is told in its words", () =>
    Effect.gen(function*() {
      for (
        const condition of [
          "com.microsoft:argument-error",
          "com.microsoft:argument-out-of-range",
          "amqp:invalid-field",
          undefined
        ]
      ) {
        const error = yield* failsWith("InvalidOptionError")(failing(400, condition, "There was an error at column 4."))
        assert.strictEqual(error.option, "rule")
        assert.strictEqual(error.description, "There was an error at column 4.")
        assert.include(error.message, "There was an error at column 4")
      }
    }))

  it.effect("fails as the service says", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* failsWith("MessagingEntityNotFoundError")(failing(404, undefined))).entity, entity)
      yield* failsWith("ServiceBusQuotaExceededError")(failing(403, "amqp:resource-limit-exceeded"))
      yield* failsWith("MessagingEntityDisabledError")(failing(400, "com.microsoft:entity-disabled"))
      yield* failsWith("ServiceBusAuthorizationError")(failing(401, "amqp:unauthorized-access"))
      yield* failsWith("ServiceBusServerBusyError")(failing(503, undefined))
      yield* failsWith("ServiceBusError")(failing(501, undefined))
    }))
})

describe("a rule that is deleted", () => {
  const removing = (response: Partial<Response>) => {
    const { asked, node } = answering(response)
    return Effect.as(RuleManagement.remove(node, { entity, name: "Urgent", timeout }), asked)
  }

  it.effect("is named", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* removing({}), [["com.microsoft:remove-rule", { "rule-name": "Urgent" }]])
    }))

  it.effect("is not there, or its subscription is not", () =>
    Effect.gen(function*() {
      const missing = (name: string) => ({
        status: 404,
        condition: "amqp:not-found",
        description: `The messaging entity '${name}' could not be found. TrackingId:a_B1`
      })
      for (
        const response of [
          { status: 404 },
          missing("ns:Topic:news|sport|Urgent"),
          missing("ns:topic:news|sport|urgent")
        ]
      ) {
        const error = yield* failsWith("RuleNotFoundError")(removing(response))
        assert.strictEqual(error.rule, "Urgent")
        assert.strictEqual(error.entity, entity)
      }
      yield* failsWith("MessagingEntityNotFoundError")(removing(missing("ns:Topic:news|sport")))
    }))
})

describe("rules that are listed", () => {
  const at = DateTime.makeUnsafe(1_700_000_000_000)
  const code = (value: number) => BigInt(value)
  const rule = (...fields: ReadonlyArray<AmqpValue.AmqpValue>) => ({
    "rule-description": AmqpValue.described(code(0x13700000004), fields)
  })
  const noAction = AmqpValue.described(code(0x13700000005), [])
  const filter = (value: number, ...fields: ReadonlyArray<AmqpValue.AmqpValue>) =>
    AmqpValue.described(code(value), fields)

  it.effect("are asked for by place and number", () =>
    Effect.gen(function*() {
      const { asked, node } = answering({ status: 204 })
      assert.deepStrictEqual(yield* RuleManagement.enumerate(node, { entity, skip: 3, top: 100, timeout }), [])
      assert.deepStrictEqual(asked, [[
        "com.microsoft:enumerate-rules",
        { top: AmqpValue.typed("int", 100), skip: AmqpValue.typed("int", 3) }
      ]])
    }))

  it.effect("end where a peer says that there are none, whatever the status", () =>
    Effect.gen(function*() {
      const { node } = answering({ status: 404, condition: "com.microsoft:rules-not-found" })
      assert.deepStrictEqual(yield* RuleManagement.enumerate(node, { entity, skip: 3, top: 100, timeout }), [])
    }))

  it.effect("of every kind", () =>
    Effect.gen(function*() {
      const properties = new Map<AmqpValue.AmqpValue, AmqpValue.AmqpValue>([["a", 1n], ["b", AmqpValue.uuid("u")]])
      const rules = yield* listed({
        rules: [
          rule(filter(0x1370000007), noAction, "$Default", at),
          rule(filter(0x1370000008), null, "nothing"),
          rule(filter(0x1370000006, "a = 1", 20), filter(0x13700000006, "SET b = 1", 20), "sql", at),
          rule(filter(0x1370000009, "c", null, "", null, "s", null, null, null, properties), noAction, "correlation"),
          rule(filter(0x1370000009, null, "m"), noAction, "short"),
          rule(filter(0x1370000006, "1=1"), noAction, "as true is sent"),
          rule(filter(0x1370000006, "1=0"), noAction, "as false is sent")
        ]
      })
      assert.deepStrictEqual(rules, [
        { name: "$Default", filter: ServiceBusRule.true, createdAt: at },
        { name: "nothing", filter: ServiceBusRule.false },
        { name: "sql", filter: sql("a = 1"), action: action("SET b = 1"), createdAt: at },
        {
          name: "correlation",
          filter: correlation({
            correlationId: "c",
            subject: "s",
            applicationProperties: { a: 1n, b: AmqpValue.uuid("u") }
          })
        },
        { name: "short", filter: correlation({ messageId: "m" }) },
        { name: "as true is sent", filter: ServiceBusRule.true },
        { name: "as false is sent", filter: ServiceBusRule.false }
      ])
      assert.isTrue(rules.every(ServiceBusRule.isKnown))
    }))

  it.effect("are read whether descriptors are codes, of either length, or names, and lists are arrays", () =>
    Effect.gen(function*() {
      const named = (name: string, ...fields: ReadonlyArray<AmqpValue.AmqpValue>) =>
        AmqpValue.described(AmqpValue.symbol(`com.microsoft:${name}:list`), fields)
      const [one, two, three] = yield* listed(
        new Map([["rules", [
          new Map([[
            "rule-description",
            named("rule-description", named("sql-filter", "a"), named("empty-rule-action"), "1")
          ]]),
          rule(filter(0x13700000009, "c"), named("sql-rule-action", "SET a = 1"), "2"),
          {
            "rule-description": AmqpValue.described(0x13700000004, [
              AmqpValue.described(0x1370000007, []),
              noAction,
              "3"
            ])
          }
        ]]])
      )
      assert.deepStrictEqual(one, { name: "1", filter: sql("a") })
      assert.deepStrictEqual(two, {
        name: "2",
        filter: correlation({ correlationId: "c" }),
        action: action("SET a = 1")
      })
      assert.deepStrictEqual(three, { name: "3", filter: ServiceBusRule.true })
    }))

  it.effect("of kinds that are not known are in the list as they came", () =>
    Effect.gen(function*() {
      const newer = filter(0x137000000a, "x")
      const rules = yield* listed({
        rules: [
          rule(newer, noAction, "filter"),
          rule(filter(0x1370000007), newer, "action"),
          rule(filter(0x1370000006), noAction, "empty"),
          rule(null, noAction, "none")
        ]
      })
      assert.deepStrictEqual(rules, [
        { name: "filter", filter: { _tag: "UnknownFilter", value: newer } },
        { name: "action", filter: ServiceBusRule.true, action: { _tag: "UnknownAction", value: newer } },
        { name: "empty", filter: { _tag: "UnknownFilter", value: filter(0x1370000006) } },
        { name: "none", filter: { _tag: "UnknownFilter", value: null } }
      ])
      assert.isFalse(rules.some(ServiceBusRule.isKnown))
    }))

  it.effect("of which one has no name are malformed; an answer without any has none", () =>
    Effect.gen(function*() {
      for (
        const entry of [
          rule(filter(0x1370000007), noAction),
          rule(filter(0x1370000007), noAction, 1),
          {},
          null,
          { "rule-description": "x" }
        ]
      ) {
        const error = yield* failsWith("ServiceBusError")(listed({ rules: [entry] }))
        assert.include(error.description!, "no name")
      }
      for (const body of [null, {}, { rules: null }, { rules: [] }]) assert.deepStrictEqual(yield* listed(body), [])
    }))
})

describe("a rule that is listed is the one that was asked for", () => {
  const asked = (rule: ServiceBusRule.Rule, other: ServiceBusRule.ListedRule) =>
    RuleManagement.isAsAsked(entity, described(rule), other)

  it("where it says the same, in whatever order", () => {
    const properties = { a: 1, b: "x" }
    const one = make("r", correlation({ subject: "s", applicationProperties: properties }))
    assert.isTrue(asked(one, { ...one, createdAt: DateTime.makeUnsafe(0) }))
    assert.isTrue(asked(one, make("r", correlation({ applicationProperties: { b: "x", a: 1 }, subject: "s" }))))
    assert.isTrue(asked(make("r", sql("a = @p", { p: "x" })), make("r", sql("a = 'x'"))))
    assert.isTrue(asked(make("r", ServiceBusRule.true), make("r", ServiceBusRule.true)))
  })

  it("and not where it does not, or is not known", () => {
    const one = make("r", correlation({ subject: "s", applicationProperties: { a: 1 } }))
    for (
      const other of [
        make("s", one.filter),
        make("r", one.filter, action("SET a = 1")),
        make("r", correlation({ subject: "s", applicationProperties: { a: 1n } })),
        make("r", correlation({ subject: "s" })),
        make("r", ServiceBusRule.true),
        { name: "r", filter: { _tag: "UnknownFilter", value: null } } as const
      ]
    ) assert.isFalse(asked(one, other), JSON.stringify(other.filter._tag))
  })
})
