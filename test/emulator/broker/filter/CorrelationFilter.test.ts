/** What correlation filters take: all of their conditions, texts letter by letter (Service Bus, topic filters). */
import * as Result from "effect/Result"
import * as AmqpValue from "../../../../src/AmqpValue.ts"
import * as ServiceBusRule from "../../../../src/ServiceBusRule.ts"
import { compiled, messageOf, outcomeOf, type Properties } from "../../../support/filters.ts"
import { assert, describe, it } from "../../../support/vitest.ts"

type Conditions = Parameters<typeof ServiceBusRule.correlation>[0]

const matches = (conditions: Conditions, properties: Properties, system: Properties = {}) =>
  Result.getOrThrow(compiled(ServiceBusRule.correlation(conditions))).matches(
    messageOf(properties, { ...unset, ...system })
  )

const unset = {
  correlationid: undefined,
  messageid: undefined,
  to: undefined,
  replyto: undefined,
  label: undefined,
  sessionid: undefined,
  replytosessionid: undefined,
  contenttype: undefined
}

describe("CorrelationFilter", () => {
  it("compares each system property", () => {
    const names = {
      correlationId: "correlationid",
      messageId: "messageid",
      to: "to",
      replyTo: "replyto",
      subject: "label",
      sessionId: "sessionid",
      replyToSessionId: "replytosessionid",
      contentType: "contenttype"
    }
    for (const [key, name] of Object.entries(names)) {
      assert.isTrue(matches({ [key]: "x" }, {}, { [name]: "x" }), key)
      assert.isFalse(matches({ [key]: "x" }, {}, { [name]: "X" }), key)
      assert.isFalse(matches({ [key]: "x" }, {}), key)
      assert.isTrue(matches({ [key]: undefined }, {}, { [name]: "y" }), key)
    }
  })

  it("takes a message that meets all conditions, as the SQL that is equivalent (the documentation's example)", () => {
    const filter = { subject: "Important", replyTo: "johndoe@contoso.com", applicationProperties: { color: "Red" } }
    const sql = "sys.ReplyTo = 'johndoe@contoso.com' AND sys.Label = 'Important' AND color = 'Red'"
    for (const label of ["Important", "other", undefined]) {
      for (const replyto of ["johndoe@contoso.com", undefined]) {
        for (const properties of [{ color: "Red" }, { Color: "Red" }, { color: "red" }, {}]) {
          const system = { ...unset, label, replyto }
          assert.strictEqual(
            matches(filter, properties, system),
            outcomeOf(sql, properties, { system }) === true,
            JSON.stringify([label, replyto, properties])
          )
        }
      }
    }
    assert.isTrue(matches(filter, { color: "Red" }, { label: "Important", replyto: "johndoe@contoso.com" }))
  })

  it("compares application properties by value, numbers of all types with each other", () => {
    const id = AmqpValue.uuid("0f8fad5b-d9cb-469f-a165-70867728950e")
    const one: Properties = { n: 1, s: "1", b: true, id, bin: new Uint8Array([1]), nothing: null, uri: new URL("a:b") }
    const cases: ReadonlyArray<readonly [name: string, value: AmqpValue.AmqpValue, isMatch: boolean]> = [
      ["n", 1, true],
      ["N", 1n, true],
      ["n", AmqpValue.typed("ubyte", 1), true],
      ["n", AmqpValue.typed("double", 1), true],
      ["n", 2, false],
      ["n", "1", false],
      ["s", "1", true],
      ["s", 1, false],
      ["s", AmqpValue.symbol("1"), true],
      ["b", true, true],
      ["b", false, false],
      ["id", id, true],
      ["bin", new Uint8Array([1]), true],
      ["bin", new Uint8Array([2]), false],
      ["uri", new URL("a:b"), true],
      ["uri", new URL("a:c"), false],
      ["nothing", null, true],
      ["missing", null, true],
      ["n", null, false],
      ["missing", 1, false]
    ]
    for (const [name, value, isMatch] of cases) {
      assert.strictEqual(
        matches({ applicationProperties: { [name]: value } }, one),
        isMatch,
        `${name} ${String(value)}`
      )
    }
    assert.isFalse(matches({ applicationProperties: { n: 1, s: "2" } }, one))
  })
})

describe("filters without conditions", () => {
  it("take all, or nothing", () => {
    const message = messageOf({})
    assert.isTrue(Result.getOrThrow(compiled(ServiceBusRule.true)).matches(message))
    assert.isFalse(Result.getOrThrow(compiled(ServiceBusRule.false)).matches(message))
    assert.isTrue(Result.getOrThrow(compiled(ServiceBusRule.sql("1=1"))).matches(message))
  })
})
