/** What SET and REMOVE change, with the types that values get (Service Bus, SQL action syntax). */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as AmqpValue from "../../../../src/AmqpValue.ts"
import * as Decimal from "../../../../src/emulator/broker/filter/Decimal.ts"
import { FilterError } from "../../../../src/emulator/broker/filter/FilterMessage.ts"
import * as SqlConversion from "../../../../src/emulator/broker/filter/SqlConversion.ts"
import * as ServiceBusRule from "../../../../src/ServiceBusRule.ts"
import { changesOf, compiled, messageOf, problemOf, type Properties } from "../../../support/filters.ts"
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

  it("overwrites a property under the name that it has, and converts what is of another type", () => {
    const decimal = (coefficient: bigint, scale: number) =>
      typed("decimal128", Decimal.toBytes(new Decimal.Decimal(coefficient, scale)))
    const id = "0f8fad5b-d9cb-469f-a165-70867728950e"
    const cases: ReadonlyArray<
      readonly [before: AmqpValue.AmqpValue, expression: string, after: AmqpValue.AmqpValue]
    > = [
      [10, "x / 2", typed("int", 5)],
      [10n, "x / 2", 5n],
      [typed("ubyte", 200), "x + 1", typed("ubyte", 201)],
      [typed("short", 1), "x - 32769", typed("short", -32_768)],
      [typed("ulong", 1n), "x + 1", typed("ulong", 2n)],
      [1.5, "2", typed("double", 2)],
      [1.5, "' -1,000.5e1 '", typed("double", -10_005)],
      [1.5, "'NaN'", typed("double", NaN)],
      [1.5, "TRUE", typed("double", 1)],
      [typed("float", 1.5), "2", typed("float", 2)],
      [typed("float", 1.5), "9007199791611905", typed("float", 2 ** 53 + 2 ** 30)],
      [typed("float", 1.5), "0.1", typed("float", Math.fround(0.1))],
      [typed("float", 1.5), "@m", typed("float", 2.5)],
      [1, "2.0", typed("int", 2)],
      [1, "2.5", typed("int", 2)],
      [1, "3.5", typed("int", 4)],
      [1, "-2.5", typed("int", -2)],
      [1, "-0.5001", typed("int", -1)],
      [1, "@m", typed("int", 2)],
      [1, "' +7 '", typed("int", 7)],
      [1, "TRUE", typed("int", 1)],
      [1, "@c", typed("int", 65)],
      [decimal(1n, 0), "2", decimal(2n, 0)],
      [decimal(1n, 0), "0.1", decimal(1n, 1)],
      [decimal(1n, 0), "-1.5E2", decimal(-150n, 0)],
      [decimal(1n, 0), "@f", decimal(15n, 1)],
      [decimal(1n, 0), "'1,000.50'", decimal(10005n, 1)],
      [true, "0", false],
      [true, "0.5", true],
      [true, "' fAlse '", false],
      ["a", "1", "1"],
      ["a", "TRUE", "True"],
      ["a", "@id", id],
      ["a", "@span", "-1.02:03:04.0000005"],
      ["a", "@t", "01/02/1970 00:00:05"],
      ["a", "@url", "https://a.example/"],
      ["a", "NULL", null],
      [uuid(id), "'0F8FAD5BD9CB469FA16570867728950E'", uuid(id)],
      [uuid("00000000-0000-0000-0000-000000000000"), `'{${id}}'`, uuid(id)],
      [Duration.seconds(1), "'0:2:0'", Duration.nanos(120_000_000_000n)],
      [Duration.seconds(1), "' -1.02:03:04.5 '", Duration.nanos(-93_784_500_000_000n)],
      [Duration.seconds(1), "'1:2:3:4'", Duration.nanos(93_784_000_000_000n)],
      [Duration.seconds(1), "'2'", Duration.nanos(172_800_000_000_000n)],
      [DateTime.makeUnsafe(1), "'1970-01-02 00:00:05'", typed("timestamp", 86_405_000n)],
      [DateTime.makeUnsafe(1), "'1970-01-02T02:00:05.25+02:00'", typed("timestamp", 86_405_250n)],
      [DateTime.makeUnsafe(1), "'01/02/1970'", typed("timestamp", 86_400_000n)],
      [typed("char", "a"), "66", typed("char", "B")],
      [typed("char", "a"), "'b'", typed("char", "b")],
      [new URL("https://b.example/"), "'https://a.example/'", new URL("https://a.example/")],
      [null, "1", 1n],
      [[1], "1", 1n]
    ]
    const parameters: Properties = {
      m: decimal(25n, 1),
      f: typed("float", 1.5),
      c: typed("char", "A"),
      id: uuid(id),
      t: DateTime.makeUnsafe(86_405_000),
      span: Duration.nanos(-93_784_000_000_500n),
      url: new URL("https://a.example/")
    }
    for (const [before, expression, after] of cases) {
      const changed = set(`SET x = ${expression}`, { X: before }, parameters)
      assert.deepStrictEqual(changed, { X: after }, `${expression} over ${String(before)}`)
    }
  })

  it("fails where there is no conversion to the type of what it overwrites", () => {
    const cases: ReadonlyArray<readonly [before: AmqpValue.AmqpValue, expression: string]> = [
      [1, "'a'"],
      [1, "'1.5'"],
      [1, "NULL"],
      [1, "1e300"],
      [1, "2147483648"],
      [1, "@t"],
      [typed("ubyte", 200), "x + 100"],
      [typed("short", 1), "x - 32770"],
      [typed("uint", 1), "x - 2"],
      [2_147_483_647, "x + 1"],
      [1.5, "''"],
      [1.5, "@id"],
      [typed("decimal128", new Uint8Array(16)), "1e30"],
      [typed("decimal128", new Uint8Array(16)), "'1e3'"],
      [true, "'yes'"],
      [true, "NULL"],
      [true, "@c"],
      ["a", "@bytes"],
      [uuid("00000000-0000-0000-0000-000000000000"), "'0f8fad5b-d9cb'"],
      [uuid("00000000-0000-0000-0000-000000000000"), "1"],
      [Duration.seconds(1), "5"],
      [Duration.seconds(1), "'25:00'"],
      [Duration.seconds(1), "'soon'"],
      [DateTime.makeUnsafe(1), "'1970-02-30'"],
      [DateTime.makeUnsafe(1), "'1970-13-01'"],
      [DateTime.makeUnsafe(1), "5"],
      [typed("char", "a"), "'ab'"],
      [typed("char", "a"), "1.5"],
      [typed("char", "a"), "-1"],
      [new Uint8Array(1), "'a'"],
      [new URL("https://b.example/"), "'no address'"]
    ]
    const parameters: Properties = {
      bytes: new Uint8Array(2),
      c: typed("char", "A"),
      id: uuid("0f8fad5b-d9cb-469f-a165-70867728950e"),
      t: DateTime.makeUnsafe(5)
    }
    for (const [before, expression] of cases) {
      assert.throws(() => set(`SET x = ${expression}`, { x: before }, parameters), FilterError)
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

  it("are made of texts, as Microsoft's page on replication sets a time to live", () => {
    assert.deepStrictEqual(changed("SET sys.TimeToLive = '0:2:0'"), { timetolive: Duration.nanos(120_000_000_000n) })
    assert.deepStrictEqual(changed("SET sys.ScheduledEnqueueTimeUtc = '1970-01-01T00:00:07Z'"), {
      scheduledenqueuetimeutc: typed("timestamp", 7000n)
    })
    assert.deepStrictEqual(changed("SET sys.Label = @span", {}, { span: Duration.minutes(2) }), { label: "00:02:00" })
  })

  it("follow each other: a message ends its time to live after it was enqueued (azure-service-bus #373)", () => {
    const at = (expression: string) =>
      Object.fromEntries(
        changesOf(expression, {}, {
          system: {
            timetolive: undefined,
            enqueuedtimeutc: typed("timestamp", 5n),
            expiresatutc: typed("timestamp", 9n)
          }
        }).system
      )["scheduledenqueuetimeutc"]
    const copied = "SET sys.ScheduledEnqueueTimeUtc = sys.ExpiresAtUtc"
    assert.deepStrictEqual(at(copied), typed("timestamp", 9n))
    assert.deepStrictEqual(
      at(`SET sys.TimeToLive = '00:10:00'; ${copied}; SET sys.TimeToLive = '01:00:00'`),
      typed("timestamp", 600_005n)
    )
    assert.deepStrictEqual(
      at(`SET sys.TimeToLive = '10675199.02:48:05'; ${copied}`),
      typed("timestamp", 253_402_300_799_999n)
    )
  })

  it("that are texts are cleared by null", () => {
    assert.deepStrictEqual(changed("SET sys.Label = NULL; SET sys.SessionId = missing"), {
      label: undefined,
      sessionid: undefined
    })
  })

  it("are not set to what they cannot be, and not removed", () => {
    const refusals: ReadonlyArray<string> = [
      "SET sys.Label = @binary",
      "SET sys.TimeToLive = 5",
      "SET sys.TimeToLive = NULL",
      "SET sys.TimeToLive = '0:0:0'",
      "SET sys.TimeToLive = @negative",
      "SET sys.ScheduledEnqueueTimeUtc = 'today'",
      "SET sys.ScheduledEnqueueTimeUtc = NULL",
      "REMOVE sys.Label",
      "REMOVE sys.SequenceNumber",
      "SET x = 1 / 0"
    ]
    const parameters = { binary: new Uint8Array(1), negative: Duration.nanos(-100n) }
    for (const expression of refusals) assert.throws(() => changed(expression, {}, parameters), FilterError)
  })

  it("that there are not, or that cannot be set, are refused when the rule is made", () => {
    const refusals: ReadonlyArray<readonly [expression: string, column: number, details: string]> = [
      ["SET sys.SequenceNumber = 5", 4, "the system property \"sequencenumber\" cannot be set"],
      ["SET sys.Body = 'x'", 8, "a message has no system property \"Body\""],
      ["SET x = sys.nothing", 12, "a message has no system property \"nothing\""],
      ["REMOVE sys.[]]]", 11, "a message has no system property \"]\""]
    ]
    for (const [expression, column, details] of refusals) {
      const problem = problemOf(ServiceBusRule.true, ServiceBusRule.action(expression))
      assert.strictEqual(problem.column, column, expression)
      assert.include(problem.message, details)
    }
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

  it("a text that is nearly a number is refused at once: it took minutes", () => {
    assert.throws(() => SqlConversion.convert(AmqpValue.typed("double", 1), `${"1".repeat(400_000)}x`), FilterError)
    assert.deepStrictEqual(
      SqlConversion.convert(AmqpValue.typed("double", 1), "1,234.5"),
      AmqpValue.typed("double", 1234.5)
    )
  })
})
