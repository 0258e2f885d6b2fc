/** What SET and REMOVE change, with the types that values get (Service Bus, SQL action syntax). */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as AmqpValue from "../../../../src/AmqpValue.ts"
import * as Decimal from "../../../../src/emulator/broker/filter/Decimal.ts"
import { FilterError } from "../../../../src/emulator/broker/filter/FilterMessage.ts"
import * as ServiceBusRule from "../../../../src/ServiceBusRule.ts"
import { changesOf, compiled, messageOf, type Properties } from "../../../support/filters.ts"
import { assert, describe, it } from "../../../support/vitest.ts"

const { typed, uuid } = AmqpValue

const set = (expression: string, properties: Properties = {}, parameters?: Properties) => {
  const { properties: changed } = changesOf(expression, properties, { parameters: parameters ?? {} })
  return Object.fromEntries(changed)
}

const valueOf = (expression: string, properties: Properties = {}) => set(expression, properties)["x"]

describe("SET", () => {
  it("makes a property, of the type of the expression", () => {
    const given: ReadonlyArray<readonly [expression: string, value: AmqpValue.AmqpValue]> = [
      ["SET x = 5", 5n],
      ["SET x = 9223372036854775807", 9_223_372_036_854_775_807n],
      ["SET x = 0.5", typed("double", 0.5)],
      ["SET x = 2.0", typed("double", 2)],
      ["SET x = 'text'", "text"],
      ["SET x = TRUE", true],
      ["SET x = NULL", null],
      ["SET x = missing", null],
      ["SET x = 1 + missing", null],
      ["SET x = 'a' + 1", "a1"],
      ["set [x] = 7 / 2", 3n],
      ["SET user.x = 1", 1n]
    ]
    for (const [expression, value] of given) assert.deepStrictEqual(set(expression), { x: value }, expression)
    assert.match((valueOf("SET x = newid()") as AmqpValue.Typed).value as string, /^[0-9a-f-]{36}$/)
  })

  it("copies a property or a parameter with its type", () => {
    const values: ReadonlyArray<AmqpValue.AmqpValue> = [
      typed("ubyte", 1),
      typed("float", 1.5),
      typed("decimal32", Buffer.from("32800001", "hex")),
      uuid("0f8fad5b-d9cb-469f-a165-70867728950e"),
      DateTime.makeUnsafe(5),
      Duration.seconds(1),
      new Uint8Array([1]),
      [1, "two"],
      AmqpValue.symbol("s"),
      typed("char", "c")
    ]
    for (const value of values) {
      assert.deepStrictEqual(set("SET x = y", { y: value }), { x: value })
      assert.deepStrictEqual(set("SET x = p('y')", { y: value }), { x: value })
      assert.deepStrictEqual(set("SET x = @v", {}, { "@v": value }), { x: value })
    }
  })

  it("gives what is worked out the type of C#", () => {
    const y = {
      m: typed("decimal128", Decimal.toBytes(new Decimal.Decimal(25n, 1))),
      f: typed("float", 1.5),
      c: typed("char", "A"),
      id: uuid("0F8FAD5B-D9CB-469F-A165-70867728950E"),
      t: DateTime.makeUnsafe(1000),
      span: Duration.seconds(1)
    }
    assert.deepStrictEqual(
      valueOf("SET x = m * 2", y),
      typed("decimal128", Decimal.toBytes(new Decimal.Decimal(50n, 1)))
    )
    assert.deepStrictEqual(valueOf("SET x = f + f", y), typed("float", 3))
    assert.deepStrictEqual(valueOf("SET x = c + 1", y), 66n)
    assert.deepStrictEqual(valueOf("SET x = t + span", y), typed("timestamp", 2000n))
    assert.deepStrictEqual(valueOf("SET x = t - t + span", y), Duration.nanos(1_000_000_000n))
    assert.deepStrictEqual(valueOf("SET x = '' + id", y), "0f8fad5b-d9cb-469f-a165-70867728950e")
  })

  it("overwrites a property under the name that it has, and converts a number to its type where that can hold it", () => {
    const cases: ReadonlyArray<
      readonly [before: AmqpValue.AmqpValue, expression: string, after: AmqpValue.AmqpValue]
    > = [
      [10, "x / 2", typed("int", 5)],
      [10n, "x / 2", 5n],
      [typed("ubyte", 200), "x + 1", typed("ubyte", 201)],
      [typed("ubyte", 200), "x + 100", 300n],
      [typed("short", 1), "x - 32769", typed("short", -32_768)],
      [typed("short", 1), "x - 32770", -32_769n],
      [typed("uint", 1), "x - 2", -1n],
      [typed("ulong", 1n), "x + 1", typed("ulong", 2n)],
      [2_147_483_647, "x + 1", 2_147_483_648n],
      [1.5, "2", typed("double", 2)],
      [typed("float", 1.5), "2", typed("float", 2)],
      [typed("float", 1.5), "0.1", typed("double", 0.1)],
      [typed("float", 1.5), "0.5", typed("float", 0.5)],
      [1, "2.0", typed("int", 2)],
      [1, "2.5", typed("double", 2.5)],
      [
        typed("decimal128", Decimal.toBytes(new Decimal.Decimal(1n, 0))),
        "2",
        typed("decimal128", Decimal.toBytes(new Decimal.Decimal(2n, 0)))
      ],
      [1, "'a'", "a"],
      ["a", "1", 1n],
      [1, "NULL", null],
      [null, "1", 1n]
    ]
    for (const [before, expression, after] of cases) {
      assert.deepStrictEqual(set(`SET x = ${expression}`, { X: before }), { X: after }, `${expression} over ${before}`)
    }
  })

  it("runs in order, and sees what was done before", () => {
    assert.deepStrictEqual(set("SET a = 1; SET b = a + 1; SET a = b * 2"), { a: 4n, b: 2n })
    assert.deepStrictEqual(set("SET a = b SET b = a", { b: "x", a: "y" }), { a: "x", b: "x" })
    assert.deepStrictEqual(set("REMOVE a; SET b = a", { a: 1 }), { a: undefined, b: null })
  })

  it("gives what was removed, and is set again, the name that SET has for it", () => {
    assert.deepStrictEqual(set("REMOVE a; SET A = 'new'", { a: 1 }), { a: undefined, A: "new" })
    assert.deepStrictEqual(set("REMOVE A; SET a = 'new'", { a: 1 }), { a: "new" })
    assert.deepStrictEqual(set("REMOVE A; SET a = 'new'"), { a: "new" })
    assert.deepStrictEqual(set("SET A = 1; REMOVE a; SET a = 2; SET A = 3"), { a: 3n })
  })
})

describe("a text", () => {
  it("that doubles again and again is an error before it fills the memory", () => {
    const doubled = (times: number) => Array.from({ length: times }, () => "SET a = a + a").join(";")
    assert.strictEqual((set(doubled(5), { a: "x" })["a"] as string).length, 32)
    assert.throws(() => set(doubled(32), { a: "x" }), FilterError, "longer than a message")
  })
})

describe("REMOVE", () => {
  it("removes a property, under the name that it has", () => {
    assert.deepStrictEqual(set("REMOVE color", { Color: "red" }), { Color: undefined })
    assert.deepStrictEqual(set("REMOVE user.[color]; ", { color: null }), { color: undefined })
    assert.deepStrictEqual(set("REMOVE missing"), { missing: undefined })
  })
})

describe("system properties", () => {
  const system = { label: "before", messageid: "1", correlationid: undefined, to: undefined, sequencenumber: 5n }
  const changed = (expression: string, properties: Properties = {}, parameters: Properties = {}) =>
    Object.fromEntries(changesOf(expression, properties, { system, parameters }).system)

  it("are set, as texts, times and spans of time", () => {
    assert.deepStrictEqual(changed("SET sys.Label = 'after'; SET sys.CorrelationId = sys.label + '!'"), {
      label: "after",
      correlationid: "after!"
    })
    assert.deepStrictEqual(changed("SET sys.Subject = 's'"), { label: "s" })
    assert.deepStrictEqual(changed("SET sys.To = 5"), { to: "5" })
    assert.deepStrictEqual(changed("SET sys.ReplyTo = n", { n: typed("ubyte", 5) }), { replyto: "5" })
    assert.match(changed("SET sys.MessageId = newid()")["messageid"] as string, /^[0-9a-f-]{36}$/)
    assert.deepStrictEqual(changed("SET sys.TimeToLive = @ttl", {}, { ttl: Duration.minutes(1) }), {
      timetolive: Duration.nanos(60_000_000_000n)
    })
    assert.deepStrictEqual(changed("SET sys.ScheduledEnqueueTimeUtc = @at", {}, { at: DateTime.makeUnsafe(7) }), {
      scheduledenqueuetimeutc: typed("timestamp", 7n)
    })
  })

  it("are cleared by REMOVE, and by null", () => {
    assert.deepStrictEqual(changed("REMOVE sys.Label; SET sys.SessionId = NULL"), {
      label: undefined,
      sessionid: undefined
    })
  })

  it("are not set to what they cannot be, and not where there is none to set", () => {
    const refusals: ReadonlyArray<string> = [
      "SET sys.Label = @binary",
      "SET sys.TimeToLive = 5",
      "SET sys.TimeToLive = @negative",
      "SET sys.ScheduledEnqueueTimeUtc = 'today'",
      "SET sys.SequenceNumber = 5",
      "REMOVE sys.SequenceNumber",
      "SET sys.Body = 'x'",
      "SET x = sys.nothing",
      "SET x = 1 / 0"
    ]
    const parameters = { binary: new Uint8Array(1), negative: Duration.nanos(-100n) }
    for (const expression of refusals) assert.throws(() => changed(expression, {}, parameters), FilterError)
  })
})

describe("RuleName", () => {
  const apply = (expression: string, properties: Properties) => {
    const rule = Result.getOrThrow(compiled(ServiceBusRule.true, ServiceBusRule.action(expression)))
    return Object.fromEntries(rule.apply!(messageOf(properties)).properties)
  }

  it("is the rule's, whatever message and action say", () => {
    assert.deepStrictEqual(apply("SET a = 1", {}), { a: 1n, RuleName: "r" })
    assert.deepStrictEqual(apply("SET a = 1", { rulename: "other" }), { a: 1n, rulename: "r" })
    assert.deepStrictEqual(apply("SET ruleName = 'mine'", {}), { RuleName: "r" })
    assert.deepStrictEqual(apply("REMOVE RULENAME", { RuleName: "other" }), { RuleName: "r" })
  })
})
