import { AmqpValue, ServiceBusRule } from "effect-service-bus"
import { problemOf } from "../src/ServiceBusRule.ts"
import { assert, describe, it } from "./support/vitest.ts"

describe("ServiceBusRule", () => {
  it("is data", () => {
    assert.deepStrictEqual(
      ServiceBusRule.make("large", ServiceBusRule.sql("total > @least", { least: 1000n, "@most": 5 })),
      {
        name: "large",
        filter: { _tag: "SqlFilter", expression: "total > @least", parameters: { "@least": 1000n, "@most": 5 } }
      }
    )
    assert.deepStrictEqual(
      ServiceBusRule.make(ServiceBusRule.defaultName, ServiceBusRule.true, ServiceBusRule.action("SET a = 1")),
      {
        name: "$Default",
        filter: { _tag: "TrueFilter" },
        action: { _tag: "SqlAction", expression: "SET a = 1", parameters: {} }
      }
    )
    assert.deepStrictEqual(
      ServiceBusRule.correlation({ subject: "a", applicationProperties: { b: AmqpValue.uuid("c") } }),
      {
        _tag: "CorrelationFilter",
        subject: "a",
        applicationProperties: { b: AmqpValue.uuid("c") }
      }
    )
    assert.deepStrictEqual(ServiceBusRule.false, { _tag: "FalseFilter" })
  })

  const { action, correlation, make, sql } = ServiceBusRule

  it("that is usable has no problem", () => {
    for (
      const rule of [
        make("a".repeat(50), ServiceBusRule.true),
        make("with spaces, and ünïcode", ServiceBusRule.false),
        make("$Default", sql("a".repeat(1024), { ä_1: 1 }), action("REMOVE a", { "@b": 1 })),
        make("r", correlation({ contentType: "a" })),
        make("r", correlation({ applicationProperties: { a: null } }))
      ]
    ) assert.isUndefined(problemOf(rule), JSON.stringify(rule))
  })

  it("that is not says which part it is", () => {
    const unreadable = new Proxy(make("r", ServiceBusRule.true), {
      get: () => {
        throw new Error("no")
      },
      ownKeys: () => {
        throw new Error("no")
      }
    })
    const cases: ReadonlyArray<readonly [unknown, string]> = [
      [undefined, "rule"],
      ["name", "rule"],
      [unreadable, "rule"],
      [make("", ServiceBusRule.true), "name"],
      [make("  ", ServiceBusRule.true), "name"],
      [make(1 as never, ServiceBusRule.true), "name"],
      [make("a".repeat(51), ServiceBusRule.true), "name"],
      [make("\ud800", ServiceBusRule.true), "name"],
      ...Array.from("/\\@?#*\n", (sign) => [make(`a${sign}b`, ServiceBusRule.true), "name"] as const),
      [make("r", undefined as never), "filter"],
      [make("r", { _tag: "toString" } as never), "filter"],
      [make("r", action("SET a = 1") as never), "filter"],
      [make("r", sql("")), "filter.expression"],
      [make("r", sql(" \n")), "filter.expression"],
      [make("r", sql("a".repeat(1025))), "filter.expression"],
      [make("r", sql("a = '\udc00'")), "filter.expression"],
      [make("r", sql(1 as never)), "filter.expression"],
      [make("r", sql("a = @b", 1 as never)), "filter.parameters"],
      [make("r", sql("a = @b", { "b c": 1 })), "filter.parameters.@b c"],
      [make("r", sql("a = @b", { "": 1 })), "filter.parameters.@"],
      [make("r", sql("a = @_b", { "@_b": 1 })), "filter.parameters.@_b"],
      [make("r", correlation({})), "filter"],
      [make("r", correlation({ applicationProperties: {} })), "filter"],
      [make("r", correlation({ applicationProperties: { a: undefined } })), "filter"],
      [make("r", correlation({ to: "" })), "filter.to"],
      [make("r", correlation({ subject: "a", label: "b" } as never)), "filter.label"],
      [make("r", correlation(unreadable as never)), "filter"],
      [make("r", sql("a = @b", unreadable as never)), "rule"],
      [make("r", correlation({ messageId: 1 as never })), "filter.messageId"],
      [make("r", correlation({ applicationProperties: [] as never })), "filter.applicationProperties"],
      [make("r", ServiceBusRule.true, sql("a = 1") as never), "action"],
      [make("r", ServiceBusRule.true, action("")), "action.expression"],
      [make("r", ServiceBusRule.true, action("SET a = @b", { "@@b": 1 })), "action.parameters.@@b"]
    ]
    assert.deepStrictEqual(
      cases.map(([rule]) => problemOf(rule as ServiceBusRule.Rule)?.option),
      cases.map(([, option]) => option)
    )
  })
})
